"""One metric of an AnalysisTemplate in the words of a scenario: what it measures, how often, and what passes."""

from __future__ import annotations

from typing import Any, Final

from scenarios.imports.library import Library, TemplateMetric
from scenarios.imports.promql import one_window, ranges
from scenarios.imports.section import Section, go_duration, integer, words
from scenarios.measures import Binding
from scenarios.strategy_spec import check_counts
from scenarios.units import duration_text
from strategies.analysis import Condition

PROVIDERS: Final = words(
    "prometheus cloudWatch datadog graphite influxdb job kayenta newRelic plugin skywalking wavefront web"
)
_NO_VALUE: Final = ("job", "kayenta", "plugin")  #: decide by themselves: there is no value that could be bound
_COUNTERS: Final = {"failureLimit": (0, -1), "inconclusiveLimit": (0, 0), "consecutiveErrorLimit": (4, 0)}
_RATIOS: Final = ("error_ratio", "success_ratio")


def metric_words(metric: TemplateMetric, name: str, library: Library) -> dict[str, Any] | None:
    """One metric in the words of a scenario; None when it is bound to `pass`, or wrong."""
    section = metric.section
    section.fields(
        read=(
            "name",
            "provider",
            "interval",
            "initialDelay",
            "count",
            "successCondition",
            "failureCondition",
            *_COUNTERS,
        ),
        refused=("consecutiveSuccessLimit",),
    )
    if not name:
        section.fail(None, "expected a metric with a name, got none")
    binding = _binding(metric, name, library)
    found = _schedule(metric)
    query = _query(metric, binding)
    if binding is None:
        return None
    if binding.passes:
        library.notes.assumed.append(f"metric {name!r} always succeeds, as bound ({section.where()})")
        return None
    if query is None:
        return None
    window = binding.window_seconds or one_window(query)
    if window is None:
        _no_window(section, name, query, binding)
        return None
    word = binding.measure if binding.factor == 1 else f"{binding.measure}*{binding.factor:g}"
    source = "as bound" if binding.window_seconds else "the range of its query"
    what = f"{word} of {binding.revision} over {duration_text(window)}"
    library.notes.assumed.append(f"metric {name!r} measures {what}, {source} ({section.where()})")
    found |= _conditions(metric, name, binding)
    return {"name": name, "measure": binding.measure, "revision": binding.revision, "window": window, **found}


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
    problem = f"metric {name!r} measures nothing known: bind it, e.g. --bind {name}={_likely(metric, name)}:canary"
    metric.section.fail(None, problem)
    return None


def _likely(metric: TemplateMetric, name: str) -> str:
    """What a metric seems to measure, for the hint alone: nothing is bound by its name."""
    provider = metric.section.get("provider")
    prometheus = provider.child("prometheus") if provider is not None and isinstance(provider.value, dict) else None
    has_query = prometheus is not None and isinstance(prometheus.value, dict)
    query = prometheus.child("query") if prometheus is not None and has_query else None
    text = str(query.value) if query is not None else ""
    return "latency_p95" if "latency" in name.lower() or "histogram_quantile" in text else "success_ratio"


def _query(metric: TemplateMetric, binding: Binding | None) -> str | None:
    """The text of the provider's query, with its arguments; empty where it has none, None where it is wrong."""
    provider = metric.section.section("provider")
    if provider is None:
        metric.section.fail(None, "expected a provider, got none")
        return None
    provider.fields(read=PROVIDERS)
    kinds = [name for name in PROVIDERS if provider.has(name)]
    if len(kinds) != 1:
        if provider.clean:
            provider.fail(None, f"expected exactly one provider, got {' and '.join(kinds) or 'none'}")
        return None
    kind = kinds[0]
    if kind in _NO_VALUE and binding is not None and not binding.passes:
        problem = f"a {kind} decides by itself: expected the binding pass (assume that it succeeds), got a measure"
        provider.fail(kind, problem)
        return None
    below = provider.section(kind)
    if kind != "prometheus" or below is None:
        return ""
    below.fields(
        read=("query",), quiet=("address", "authentication", "headers", "insecure", "timeout"), refused=("rangeQuery",)
    )
    if not below.has("query"):
        below.fail(None, "expected a query, got none")
        return None
    return metric.arguments.text(below, "query")


def _no_window(section: Section, name: str, query: str, binding: Binding) -> None:
    found = [f"[{each}]" for each in ranges(query)]
    got = f"ranges {' and '.join(found)}" if len(found) > 1 else f"range {found[0]}" if found else "no range"
    example = f"--bind {name}={binding.measure}:{binding.revision}:5m"
    section.fail("provider", f"metric {name!r}: the query has {got}: expected a window in the binding, e.g. {example}")


def _schedule(metric: TemplateMetric) -> dict[str, Any]:
    """Interval, delay and counters, with Argo's defaults left out and its rules between them checked."""
    section = metric.section
    found: dict[str, Any] = {}
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
    try:
        check_counts(count, found.get("interval"), found.get("failureLimit", 0), found.get("inconclusiveLimit", 0))
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


def _conditions(metric: TemplateMetric, name: str, binding: Binding) -> dict[str, str]:
    """Both conditions, their thresholds in the unit of the measure."""
    section = metric.section
    found: dict[str, str] = {}
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
        found[word] = f"result[0] {condition.op} {threshold!r}"
    if not found and not (section.has("successCondition") or section.has("failureCondition")):
        section.notes.warnings.append(f"{section.where()}: metric {name!r} has no condition: it always succeeds")
    return found
