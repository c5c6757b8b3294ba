"""AnalysisTemplates of a Rollout as metrics in the words of a scenario.

Several templates of one analysis become one run, as Argo flattens them (`utils/analysis/helpers.go`
`FlattenTemplates` @9f8d111d8). What a query measures is never guessed: a binding names it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from scenarios.errors import Place
from scenarios.imports.arguments import declared
from scenarios.imports.library import Library, TemplateMetric
from scenarios.imports.metrics import metric_words
from scenarios.imports.section import Section

#: ValidateAnalysisTemplateWithType of `pkg/apis/rollouts/validation/validation_references.go`
_ENDLESS: Final = "has an interval and no count, and Argo refuses one that never ends outside of canary.analysis"


def analysis_words(owner: Section, library: Library, *, background: bool = False) -> dict[str, Any] | None:
    """One analysis of a Rollout in the words of a scenario; None when all of it is bound to `pass`."""
    extra = ("startingStep",) if background else ()
    owner.fields(read=("templates", "args", "dryRun", "measurementRetention", *extra), quiet=("analysisRunMetadata",))
    found = _templates(owner, library, ())
    if not found and not library.notes.errors:
        owner.fail("templates" if owner.has("templates") else None, "expected at least one template, got none")
    specs = [spec for _, spec in found]
    arguments = declared(specs, owner.sections("args"), owner, library.rollout)
    metrics = []
    for template, spec in found:
        own = spec.sections("metrics")
        metrics += [TemplateMetric(template, each, arguments, len(own) == 1) for each in own]
    dry = _named([owner, *specs], metrics, "dryRun")
    _named([owner, *specs], metrics, "measurementRetention", "limit")  # decides nothing, but has to match
    kept = []
    seen: dict[str, Place] = {}
    for metric in metrics:
        name = metric.section.text("name") or ""
        if name in seen:
            metric.section.fail("name", f"a metric {name!r} stands in {seen[name].file}:{seen[name].line} already")
        seen[name] = metric.section.place("name")
        each = metric_words(metric, name, library)
        if not background and _endless(metric.section):
            metric.section.fail(None, f"metric {name!r} {_ENDLESS}")
        if each is not None and name in dry:
            library.notes.assumed.append(f"metric {name!r} is a dry run and decides nothing ({metric.section.where()})")
            each["dryRun"] = True
        if each is not None:
            kept.append(each)
    if not kept:
        return None
    start = owner.integer("startingStep") if background else None
    return {"metrics": kept, **({"startingStep": start} if start else {})}


def _endless(metric: Section) -> bool:
    """Whether a metric goes on for ever (`analysis_types.go` EffectiveCount)."""
    count = metric.get("count")
    return metric.has("interval") and (count is None or count.value == 0)


def _templates(owner: Section, library: Library, above: tuple[str, ...]) -> list[tuple[str, Section]]:
    """Name and `spec` of each template, those that templates name in turn too."""
    found: list[tuple[str, Section]] = []
    for each in owner.sections("templates"):
        each.fields(read=("templateName", "clusterScope"))
        name = each.text("templateName")
        if name is None:
            each.fail(None, "expected a templateName, got none")
            continue
        if name in above or len(above) > 10:
            each.fail("templateName", f"templates that name each other in a circle: {' -> '.join((*above, name))}")
            continue
        document = library.find(each, name, cluster=each.boolean("clusterScope"))
        if document is None:
            continue
        root = Section(document.node, (), library.notes)
        root.fields(read=("spec",), quiet=("apiVersion", "kind", "metadata", "status"))
        spec = root.section("spec")
        if spec is None:
            root.fail(None, f"expected a spec in the {document.kind} {name!r}, got none")
            continue
        spec.fields(read=("args", "metrics", "templates", "dryRun", "measurementRetention"))
        if all(spec.node is not other.node for _, other in found):
            found.append((name, spec))
        found += _templates(spec, library, (*above, name))
    return found


def _named(owners: list[Section], metrics: list[TemplateMetric], rule: str, *more: str) -> set[str]:
    """Names of metrics for which a rule stands; patterns are unanchored regular expressions.

    Source: `utils/analysis/helpers.go` GetDryRunMetrics, GetMeasurementRetentionMetrics @9f8d111d8: a pattern without a
    match is an error of the run, of either rule.
    """
    names = [metric.section.text("name") or "" for metric in metrics]
    found: set[str] = set()
    for owner in owners:
        for each in owner.sections(rule):
            each.fields(read=("metricName", *more))
            pattern = each.text("metricName") or ""
            hits = _matching(pattern, names)
            if hits is None:
                each.fail("metricName", f"expected a name or a simple pattern such as latency-.*, got {pattern!r}")
                continue
            if not hits:
                each.fail("metricName", "no metric matches: Argo would end the run with an error", known=tuple(names))
            found |= hits
    return found


def _matching(pattern: str, names: list[str]) -> set[str] | None:
    """Names that match; None for a pattern without which nothing can be said, or whose search could take for ever."""
    if not re.fullmatch(r"[\w .*^$|-]{1,100}", pattern) or pattern.count("*") > 3:
        return None
    try:
        return {name for name in names if re.search(pattern, name)}
    except re.error:
        return None
