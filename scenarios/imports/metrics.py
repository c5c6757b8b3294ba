"""One metric of an AnalysisTemplate in the words of a scenario: what it measures, how often, and what passes.

A binding says what a metric measures, or what its provider answers. A query of Prometheus without one is asked as it
stands; any other provider without one is an error: nobody here can know its answers.
"""

from __future__ import annotations

from typing import Any, Final

from scenarios.errors import ScenarioError, dotted
from scenarios.imports.conditions import conditions, scaled_conditions
from scenarios.imports.library import Library, TemplateMetric
from scenarios.imports.promql import fault_of, one_window, ranges
from scenarios.imports.providers import DECIDING, PROVIDERS, check_provider, kayenta_thresholds
from scenarios.imports.section import Section, go_duration, integer
from scenarios.measures import Binding
from scenarios.pointer import Fault, excerpt_at
from scenarios.scripts import decisions
from scenarios.strategy_values import check_counts
from scenarios.units import duration_text
from strategies.analysis import Phase

_COUNTERS: Final = {
    "failureLimit": (0, -1),
    "inconclusiveLimit": (0, 0),
    "consecutiveErrorLimit": (4, 0),
    "consecutiveSuccessLimit": (0, 0),
}


def metric_words(metric: TemplateMetric, name: str, library: Library) -> dict[str, Any] | None:
    """One metric in the words of a scenario; None when it is bound to `pass`, or wrong."""
    section = metric.section
    section.fields(
        read=(
            "name", "provider", "interval", "initialDelay", "count", "successCondition", "failureCondition", *_COUNTERS,
        )
    )  # fmt: skip
    if not name:
        section.fail(None, "expected a metric with a name, got none")
    binding = _binding(metric, name, library)
    found = _schedule(metric)
    provider = section.section("provider")
    if provider is None:
        section.fail(None, "expected a provider, got none")
        return None
    kind = _kind(provider)
    if kind is None:
        return None
    if binding is not None and binding.passes:
        library.notes.assumed.append(f"metric {name!r} always succeeds, as bound ({section.where()})")
        return None
    if binding is None:
        source = _asked(metric, name, kind, provider, library)
    elif binding.script is not None:
        source = _scripted(metric, name, kind, provider, binding, library)
    else:
        source = _measured(metric, name, kind, provider, binding, library)
    return None if source is None else {"name": name, **source, **found}


def _kind(provider: Section) -> str | None:
    """The one provider that is given, its fields checked."""
    provider.fields(read=PROVIDERS, shown=True)
    kinds = [name for name in PROVIDERS if provider.has(name)]
    if len(kinds) != 1:
        if provider.clean:
            provider.fail(None, f"expected exactly one provider, got {' and '.join(kinds) or 'none'}")
        return None
    below = provider.section(kinds[0])
    if below is not None:
        check_provider(below, kinds[0])
    return kinds[0]


def _binding(metric: TemplateMetric, name: str, library: Library) -> Binding | None:
    """What a metric measures: bound by `template/metric`, by its own name, or by that of its template."""
    keys = [f"{metric.template}/{name}", name]
    if metric.alone:
        keys.append(metric.template)
    library.names |= set(keys)
    for key in keys:
        if key in library.bindings:
            library.used.add(key)
            return library.bindings[key]
    return None


# --- what it measures --------------------------------------------------------------------------------------------


def _asked(metric: TemplateMetric, name: str, kind: str, provider: Section, library: Library) -> dict[str, Any] | None:
    """A metric that nothing is bound to: the query of a Prometheus, as it stands."""
    if kind != "prometheus":
        example = {"job": "script:Successful", "kayenta": "script:95"}.get(kind, _likely(name))
        problem = f"metric {name!r} measures nothing known: bind it, e.g. --bind {name}={example}"
        if kind not in DECIDING:
            problem += f", or script the answers of its {kind}: --bind {name}=script:0.99,0.95"
        node = provider.get(kind)
        assert node is not None
        path = dotted((*provider.path, kind))
        excerpt = excerpt_at(node.key_place, len(kind))
        library.notes.errors.append(ScenarioError(problem, field=path, place=node.key_place, excerpt=excerpt))
        return None
    asked = conditions(metric, name)  # first: what is wrong with them is said beside what is wrong with the query
    below = provider.section(kind)
    if below is None or not _has_query(below):
        return None
    if below.has("rangeQuery"):
        _no_range(below, name)
        return None
    query = metric.arguments.text(below, "query")
    if query is None:
        return None
    if query.unknown:
        names = " and ".join(map(repr, query.unknown))
        problem = f"argument {names} is known only in a cluster (valueFrom): bind the metric, e.g. --bind {name}="
        start, written = query.text.find(f"<{query.unknown[0]}>"), len(query.unknown[0]) + 2
        query.pointed(below, "query", Fault(f"{problem}{_likely(name)}", start, start + written))
        return None
    fault = fault_of(query.text)
    if fault is not None:
        query.pointed(below, "query", fault)
        return None
    library.notes.assumed.append(f"metric {name!r} asks its query as it stands ({below.where('query')})")
    library.queries.setdefault(query.text, below.place("query"))
    return {"query": query.text, **asked}


def _no_range(below: Section, name: str) -> None:
    problem = f"rangeQuery is not simulated yet: expected a script of lists, or pass, as the binding of {name}"
    below.fail("rangeQuery", problem)


def _likely(name: str) -> str:
    """What a metric may measure, for the hint alone: nothing is bound by its name."""
    return "latency_p95:canary" if "latency" in name.lower() else "success_ratio:canary"


def _has_query(below: Section) -> bool:
    if not below.has("query"):
        below.fail(None, "expected a query, got none")
        return False
    return below.text("query") is not None


def _measured(
    metric: TemplateMetric, name: str, kind: str, provider: Section, binding: Binding, library: Library
) -> dict[str, Any] | None:
    """A metric that is bound to a measure."""
    section = metric.section
    if kind in DECIDING:
        problem = f"a {kind} decides by itself: expected a script of its answers, or the binding pass (assume that it "
        provider.fail(kind, f"{problem}succeeds), got a measure")
        return None
    text = ""
    below = provider.section(kind)
    if kind == "prometheus" and below is not None:
        if below.has("rangeQuery"):
            _no_range(below, name)
            return None
        query = metric.arguments.text(below, "query") if _has_query(below) else None
        if query is None:
            return None
        text = query.text
    window = binding.window_seconds or one_window(text)
    if window is None:
        _no_window(section, name, text, binding)
        return None
    word = binding.measure if binding.factor == 1 else f"{binding.measure}*{binding.factor:g}"
    source = "as bound" if binding.window_seconds else "the range of its query"
    what = f"{word} of {binding.revision} over {duration_text(window)}"
    library.notes.assumed.append(f"metric {name!r} measures {what}, {source} ({section.where()})")
    words = {"measure": binding.measure, "revision": binding.revision, "window": window}
    return words | scaled_conditions(metric, name, binding)


def _no_window(section: Section, name: str, query: str, binding: Binding) -> None:
    found = [f"[{each}]" for each in ranges(query)]
    got = f"ranges {' and '.join(found)}" if len(found) > 1 else f"range {found[0]}" if found else "no range"
    example = f"--bind {name}={binding.measure}:{binding.revision}:5m"
    section.fail("provider", f"metric {name!r}: the query has {got}: expected a window in the binding, e.g. {example}")


def _scripted(
    metric: TemplateMetric, name: str, kind: str, provider: Section, binding: Binding, library: Library
) -> dict[str, Any] | None:
    """A metric whose provider answers what the binding says."""
    assert binding.script is not None
    section, answers = metric.section, binding.script
    found: dict[str, Any] = {}
    if kind in DECIDING:
        for word in ("successCondition", "failureCondition"):
            if section.has(word):
                section.notes.warnings.append(f"{section.where(word)}: a {kind} decides by itself: {word} is not asked")
    else:
        found = conditions(metric, name)
    if kind == "kayenta":
        below = provider.section(kind)
        thresholds = kayenta_thresholds(below) if below is not None else None
        if thresholds is None:
            return None
        answers = tuple(_of_score(each, *thresholds) for each in answers)
    if not found:
        try:
            answers = decisions(answers)
        except ValueError as error:
            provider.fail(kind, str(error))
            return None
    if kind in DECIDING and not all(isinstance(each, Phase) for each in answers):
        wanted = "scores from 0 to 100" if kind == "kayenta" else "Successful, Failed or error"
        provider.fail(kind, f"expected a script of {wanted}, got another answer")
        return None
    count = f"{len(answers)} answer{'s' if len(answers) != 1 else ''}"
    library.notes.assumed.append(f"metric {name!r} hears a script of {count}, as bound ({section.where()})")
    words: dict[str, Any] = {"script": list(answers)}
    if binding.after != "hold":
        words["after"] = binding.after
    if binding.takes_seconds:
        words["takes"] = binding.takes_seconds
    return words | found


def _of_score(answer: Any, good: int, marginal: int) -> Any:
    """Kayenta's score by its thresholds, as `metricproviders/kayenta/kayenta.go` evaluateResult."""
    if not isinstance(answer, float) or not 0 <= answer <= 100:
        return answer
    score = int(answer)
    return Phase.SUCCESSFUL if score >= good else Phase.INCONCLUSIVE if score >= marginal else Phase.FAILED


# --- how often ---------------------------------------------------------------------------------------------------


def _schedule(metric: TemplateMetric) -> dict[str, Any]:
    """Interval, delay and counters, with Argo's defaults left out and its rules between them checked."""
    section = metric.section
    found: dict[str, Any] = {}
    before = len(section.notes.errors)
    for name in ("interval", "initialDelay"):
        seconds = _decided(metric, name, go_duration)
        if seconds:
            found[name] = seconds
    count = _decided(metric, "count", integer)
    if count:
        found["count"] = count
    for name, (default, low) in _COUNTERS.items():
        value = _decided(metric, name, lambda value, low=low: integer(value, low=low))
        if value is not None and value != default:
            found[name] = value
    if len(section.notes.errors) > before:  # a number that could not be read breaks no rule between numbers
        return found
    try:
        check_counts(
            count,
            found.get("interval"),
            found.get("failureLimit", 0),
            found.get("inconclusiveLimit", 0),
            found.get("consecutiveSuccessLimit", 0),
        )
    except ValueError as error:
        section.fail("count", str(error))
    return found


def _decided(metric: TemplateMetric, name: str, parse: Any) -> Any:
    node = metric.arguments.decided(metric.section, name)
    if node is None:
        return None
    try:
        return parse(node.plain())
    except ValueError as error:
        metric.section.fail(name, str(error))
        return None
