"""What the words of a strategy may not say together: rules between fields, each error with its place."""

from __future__ import annotations

from scenarios.errors import ScenarioError, dotted
from scenarios.strategy_spec import AnalysisWords, MetricWords, StepWords, StrategyWords
from scenarios.yaml_nodes import Key, Node
from strategies.judges.program import Judging
from strategies.metrics.conditions import Expression

Path = tuple[str, ...]


def check_rules(words: StrategyWords, entry: Node, path: Path, *, routed: bool) -> None:
    """Raise a ScenarioError for the first rule that is broken.

    Args:
        entry: the entry's tree; `path` is where it stands in the file.
        routed: a router splits traffic by weight.
    """
    if words.blue_green is not None:
        _ends(words.blue_green.pre_promotion, entry, path, ("blueGreen", "prePromotionAnalysis"))
        _ends(words.blue_green.post_promotion, entry, path, ("blueGreen", "postPromotionAnalysis"))
    if words.canary is None:
        return
    if not routed:
        _without_router(words, entry, path)
    start = words.canary.analysis.starting_step if words.canary.analysis else 0
    if start > len(words.canary.steps):
        problem = f"expected at most {len(words.canary.steps)} (the number of steps), got {start}"
        raise _at(entry, path, ("canary", "analysis", "startingStep"), problem)


def _at(entry: Node, path: Path, keys: tuple[Key, ...], problem: str) -> ScenarioError:
    node, _ = entry.nearest(keys)
    return ScenarioError(problem, field=dotted((*path, *keys)), place=node.place)


def _without_router(words: StrategyWords, entry: Node, path: Path) -> None:
    """What only a router can do."""
    assert words.canary is not None
    problem = "expected a router (router.kind: weighted), got router.kind: pods"
    for number, step in enumerate(words.canary.steps):
        if step.set_canary_scale is not None:
            raise _at(entry, path, ("canary", "steps", number, "setCanaryScale"), problem)
    if words.canary.dynamic_stable_scale:
        raise _at(entry, path, ("canary", "dynamicStableScale"), problem)


def _ends(analysis: AnalysisWords | None, entry: Node, path: Path, keys: tuple[Key, ...]) -> None:
    """A blue-green release waits for the end of its analyses."""
    if analysis is not None and analysis.judge is not None and analysis.judge.count is None:
        raise _at(entry, path, (*keys, "judge"), "a judge without a count may never end: expected a count of looks")
    for number, metric in enumerate(analysis.metrics if analysis else ()):
        if not metric.ends:
            problem = f"metric {metric.name!r} has an interval and no count, so it would never end: expected a count"
            raise _at(entry, path, (*keys, "metrics", number), problem)


def doubts(name: str, words: StrategyWords) -> list[str]:
    """What is right by the rules and probably not meant."""
    canary, found = words.canary, []
    steps: tuple[StepWords, ...] = canary.steps if canary else ()
    for number, step in enumerate(steps):
        judge = step.analysis.judge if step.analysis else None
        if judge is not None and not _may_pass(judge.judging()):
            what = f"judge {judge.name!r} has neither count nor enough: it goes on until it fails"
            found.append(f"{name}: steps[{number}].analysis: {what}")
        for metric in step.analysis.metrics if step.analysis else ():
            if not metric.ends:
                what = f"metric {metric.name!r} has an interval and no count: it goes on until it fails"
                found.append(f"{name}: steps[{number}].analysis: {what}")
    if canary is not None and canary.analysis is not None and canary.analysis.starting_step == len(steps) > 0:
        start = canary.analysis.starting_step
        found.append(f"{name}: analysis.startingStep {start} is behind the last step: it never starts")
    return [*found, *dict.fromkeys(f"{name}: {doubt}" for metric in _metrics(words) for doubt in _never_asked(metric))]


def _may_pass(judging: Judging) -> bool:
    """Whether a judge can end while all is well: after some looks, after enough requests, or by its own boundary."""
    judge = judging.judge
    known = [getattr(judge, name, None) for name in ("enough", "count", "beta")]
    return not judging.endless or any(known) or judge.name == "group_sequential"


def _metrics(words: StrategyWords) -> list[MetricWords]:
    """All metrics of a strategy."""
    analyses: list[AnalysisWords | None] = [words.analysis]
    if words.canary is not None:
        analyses += [words.canary.analysis, *(step.analysis for step in words.canary.steps)]
    if words.blue_green is not None:
        analyses += [words.blue_green.pre_promotion, words.blue_green.post_promotion]
    return [metric for analysis in analyses if analysis is not None for metric in analysis.metrics]


def _never_asked(metric: MetricWords) -> list[str]:
    """Conditions that have no answer, whatever the query of their metric gives: every measurement is an error."""
    if metric.query is None:
        return []
    from strategies.metrics.promql import parse  # numpy and the parser: only where a query stands

    kind = "[]float" if parse(metric.query).kind == "vector" else "float"
    found = []
    for word, text in (("successCondition", metric.success_condition), ("failureCondition", metric.failure_condition)):
        fault = Expression(text).fault_for(kind) if text else None
        if text is None or fault is None:
            continue
        answer = "a list of numbers" if kind == "[]float" else "one number"
        part = f"its query answers with {answer} and {word} says {text[fault.start : fault.end]!r}: {fault.problem}"
        found.append(f"metric {metric.name!r}: every measurement is an error, in Argo too: {part}")
    return found
