"""AnalysisTemplates of a Rollout as metrics in the words of a scenario.

Several templates of one analysis become one run, as Argo flattens them (`utils/analysis/helpers.go`
`FlattenTemplates` @9f8d111d8). What a query measures is never guessed: a binding names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from scenarios.errors import Place, unknown
from scenarios.imports.arguments import Arguments, declared
from scenarios.imports.documents import Document
from scenarios.imports.promql import one_window, ranges
from scenarios.imports.section import Notes, Section, go_duration, integer
from scenarios.measures import Binding
from scenarios.strategy_spec import check_counts
from scenarios.units import duration_text
from scenarios.yaml_nodes import Node
from strategies.analysis import Condition

PROVIDERS: Final = (
    "prometheus cloudWatch datadog graphite influxdb job kayenta newRelic plugin skywalking wavefront web"
).split()
_NO_VALUE: Final = ("job", "kayenta", "plugin")  #: decide by themselves: there is no value that could be bound
_KINDS: Final = ("AnalysisTemplate", "ClusterAnalysisTemplate")
_COUNTERS: Final = {"failureLimit": (0, -1), "inconclusiveLimit": (0, 0), "consecutiveErrorLimit": (4, 0)}
_RATIOS: Final = ("error_ratio", "success_ratio")


@dataclass(slots=True)
class Library:
    """The templates that a Rollout may name, and what their queries measure."""

    documents: list[Document]
    bindings: Mapping[str, Binding]
    notes: Notes
    rollout: Node
    used: set[str] = field(default_factory=set)  #: names of bindings that a metric took
    names: set[str] = field(default_factory=set)  #: names that a binding may have

    def find(self, section: Section, name: str, *, cluster: bool) -> Document | None:
        """A template by its name; noted as an error when there is none."""
        kind = _KINDS[cluster]
        known = {document.name: document for document in self.documents if document.kind == kind}
        if name in known:
            return known[name]
        error = unknown(name, known, what=kind)
        problem = error.problem if known else f"{error.problem}: no file that was read has one"
        section.fail("templateName", problem, nearest=error.nearest, known=error.known)
        return None


@dataclass(frozen=True, slots=True)
class _Metric:
    """One metric of one template, with the arguments of its run."""

    template: str
    section: Section
    arguments: Arguments


def analysis_words(owner: Section, library: Library, *, background: bool = False) -> dict[str, Any] | None:
    """One analysis of a Rollout in the words of a scenario; None when nothing of it decides anything."""
    extra = ("startingStep",) if background else ()
    owner.fields(
        read=("templates", "args", "dryRun", *extra), quiet=("analysisRunMetadata", "measurementRetention")
    )
    found = _templates(owner, library, ())
    if not found and not library.notes.errors:
        owner.fail("templates" if owner.has("templates") else None, "expected at least one template, got none")
    specs = [spec for _, spec in found]
    arguments = declared(specs, owner.sections("args"), owner, library.rollout)
    metrics = [_Metric(name, each, arguments) for name, spec in found for each in spec.sections("metrics")]
    dry = _dry_run([owner, *specs], metrics)
    words = []
    seen: dict[str, Place] = {}
    for metric in metrics:
        name = metric.section.text("name") or ""
        if name in seen:
            metric.section.fail("name", f"a metric {name!r} stands in {seen[name].file}:{seen[name].line} already")
        seen[name] = metric.section.place("name")
        if name in dry:
            library.notes.assumed.append(f"metric {name!r} is a dry run and decides nothing ({metric.section.where()})")
            library.names |= {name, metric.template, f"{metric.template}/{name}"}
            library.used |= {each for each in (name, f"{metric.template}/{name}") if each in library.bindings}
            continue
        each = _metric_words(metric, name, library)
        if each is not None:
            words.append(each)
    if not words:
        return None
    start = owner.integer("startingStep") if background else None
    return {"metrics": words, **({"startingStep": start} if start else {})}


def _templates(owner: Section, library: Library, above: tuple[str, ...]) -> list[tuple[str, Section]]:
    """Name and `spec` of each template, those that templates name in turn too."""
    found = []
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
        spec.fields(read=("args", "metrics", "templates", "dryRun"), quiet=("measurementRetention",))
        if all(spec.node is not other.node for _, other in found):
            found.append((name, spec))
        found += _templates(spec, library, (*above, name))
    return found


def _dry_run(owners: list[Section], metrics: list[_Metric]) -> set[str]:
    """Names of metrics that only pretend; patterns are unanchored regular expressions."""
    names = [metric.section.text("name") or "" for metric in metrics]
    found: set[str] = set()
    for owner in owners:
        for each in owner.sections("dryRun"):
            each.fields(read=("metricName",))
            pattern = each.text("metricName") or ""
            if not re.fullmatch(r"[\w .*^$|-]{1,100}", pattern) or "**" in pattern or pattern.startswith("*"):
                each.fail("metricName", f"expected a name or a simple pattern such as latency-.*, got {pattern!r}")
                continue
            hits = {name for name in names if re.search(pattern, name)}
            if not hits:
                each.fail("metricName", "no metric matches: Argo would end the run with an error", known=tuple(names))
            found |= hits
    return found


def _metric_words(metric: _Metric, name: str, library: Library) -> dict[str, Any] | None:
    """One metric in the words of a scenario; None when it is bound to `pass`, or wrong."""
    section = metric.section
    section.fields(
        read=("name", "provider", "interval", "initialDelay", "count", "successCondition", "failureCondition", *_COUNTERS),
        refused=("consecutiveSuccessLimit",),
    )
    if not name:
        section.fail(None, "expected a metric with a name, got none")
    binding = _binding(metric, name, library)
    words = _schedule(metric)
    query = _query(metric, binding)
    if binding is None:
        return None
    if binding.passes:
        library.notes.assumed.append(f"metric {name!r} always succeeds, as bound ({section.where()})")
        return None
    window = binding.window_seconds or one_window(query)
    if window is None:
        _no_window(section, name, query, binding)
        return None
    word = binding.measure if binding.factor == 1 else f"{binding.measure}*{binding.factor:g}"
    source = "as bound" if binding.window_seconds else "the range of its query"
    library.notes.assumed.append(
        f"metric {name!r} measures {word} of {binding.revision} over {duration_text(window)}, {source} ({section.where()})"
    )
    words |= _conditions(metric, name, binding)
    return {"name": name, "measure": binding.measure, "revision": binding.revision, "window": window, **words}


def _binding(metric: _Metric, name: str, library: Library) -> Binding | None:
    """What a metric measures: bound by `template/metric`, by its own name, or by that of its template."""
    keys = [f"{metric.template}/{name}", name]
    if len(metric.section.path) and len(_siblings(metric, library)) == 1:
        keys.append(metric.template)
    library.names |= set(keys)
    for key in keys:
        if key in library.bindings:
            library.used.add(key)
            return library.bindings[key]
    problem = f"metric {name!r} ({metric.section.where()}) measures nothing known: bind it, e.g. --bind {name}=success_ratio:canary"
    metric.section.fail("provider", problem)
    return None


def _siblings(metric: _Metric, library: Library) -> list[Node]:
    for document in library.documents:
        node, steps = document.node.nearest(("spec", "metrics"))
        if document.name == metric.template and steps == 2 and isinstance(node.value, list):
            if any(each is metric.section.node for each in node.value):
                return node.value
    return []


def _query(metric: _Metric, binding: Binding | None) -> str:
    """The text of the provider's query, with its arguments; empty where it has none."""
    provider = metric.section.section("provider")
    if provider is None:
        metric.section.fail(None, "expected a provider, got none")
        return ""
    provider.fields(read=PROVIDERS)
    kinds = [name for name in PROVIDERS if provider.has(name)]
    if len(kinds) != 1:
        provider.fail(None, f"expected exactly one provider, got {' and '.join(kinds) or 'none'}")
        return ""
    kind = kinds[0]
    if kind in _NO_VALUE and binding is not None and not binding.passes:
        problem = f"a {kind} decides by itself: expected the binding pass (assume that it succeeds), got a measure"
        provider.fail(kind, problem)
    below = provider.section(kind)
    if kind != "prometheus" or below is None:
        return ""
    below.fields(
        read=("query",), quiet=("address", "authentication", "headers", "insecure", "timeout"), refused=("rangeQuery",)
    )
    if not below.has("query"):
        below.fail(None, "expected a query, got none")
    return metric.arguments.text(below, "query") or ""


def _no_window(section: Section, name: str, query: str, binding: Binding) -> None:
    found = [f"[{each}]" for each in ranges(query)]
    got = f"ranges {' and '.join(found)}" if len(found) > 1 else f"range {found[0]}" if found else "no range"
    example = f"--bind {name}={binding.measure}:{binding.revision}:5m"
    section.fail("provider", f"metric {name!r}: the query has {got}: expected a window in the binding, e.g. {example}")


def _schedule(metric: _Metric) -> dict[str, Any]:
    """Interval, delay and counters, with Argo's defaults left out and its rules between them checked."""
    section, words = metric.section, {}
    for name in ("interval", "initialDelay"):
        seconds = _decided(metric, name, go_duration)
        if seconds:
            words[name] = seconds
    count = _decided(metric, "count", integer)
    if count:
        words["count"] = count
    for name, (default, low) in _COUNTERS.items():
        value = _decided(metric, name, lambda value, low=low: integer(value, low=low))
        if value is not None and value != default:
            words[name] = value
    try:
        check_counts(count, words.get("interval"), words.get("failureLimit", 0), words.get("inconclusiveLimit", 0))
    except ValueError as error:
        section.fail("count", str(error))
    return words


def _decided(metric: _Metric, name: str, parse: Any) -> Any:
    node = metric.arguments.decided(metric.section, name)
    if node is None:
        return None
    try:
        return parse(node.plain())
    except ValueError as error:
        metric.section.fail(name, str(error))
        return None


def _conditions(metric: _Metric, name: str, binding: Binding) -> dict[str, str]:
    """Both conditions, their thresholds in the unit of the measure."""
    section, words = metric.section, {}
    for word in ("successCondition", "failureCondition"):
        node = metric.arguments.decided(section, word)
        if node is None:
            continue
        try:
            condition = Condition.parse(str(node.value))
        except ValueError as error:
            section.fail(word, f"{error} (other expressions are not simulated yet)")
            continue
        threshold = condition.threshold / binding.factor
        if binding.measure in _RATIOS and not 0 <= threshold <= 1:
            problem = f"{binding.measure} is a share from 0 to 1, the condition compares it with {threshold:g}"
            section.fail(word, f"{problem}; a query in per cent is bound as {binding.measure}*100:{binding.revision}")
        elif binding.measure.startswith("latency") and threshold >= 60:
            problem = f"{section.where(word)}: metric {name!r} is in seconds and is compared with {threshold:g}"
            section.notes.warnings.append(
                f"{problem}; a query in milliseconds is bound as {binding.measure}*1000:{binding.revision}"
            )
        words[word] = f"result[0] {condition.op} {threshold!r}"
    if not words and not (section.has("successCondition") or section.has("failureCondition")):
        section.notes.warnings.append(f"{section.where()}: metric {name!r} has no condition: it always succeeds")
    return words
