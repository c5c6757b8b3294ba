"""The rules that a scenario's own strategy draws: its metrics of the canary's error ratio, as lines under counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rolloutlab.judging.bench import Rule
from scenarios.build import build_strategies
from scenarios.load import Loaded
from scenarios.strategy_check import strategy_words
from scenarios.strategy_spec import MetricWords, StrategyWords
from scenarios.yaml_nodes import from_plain
from strategies.analysis import Condition

_ABOVE = (">", ">=")


def words_of(loaded: Loaded, name: str, bind: Mapping[str, Any]) -> StrategyWords | None:
    """The words of one strategy of a file, of its manifest where it names one; None for one in Python.

    Raises:
        ScenarioErrors: everything wrong with the entry, and with the manifest that it names.
    """
    entry, _ = loaded.root.nearest(("strategies", name))
    words = strategy_words(entry, ("strategies", name))
    if words.manifest is None:
        return words if words.python is None else None
    alone = loaded.scenario.model_copy(update={"strategies": {name: loaded.scenario.strategies[name]}})
    built = build_strategies(alone, base_dir=loaded.path.parent, where=loaded.root, bind=bind)
    imported = built.imported[name]
    return strategy_words(from_plain(imported.words, imported.place), ())


def rules_of(
    name: str, words: StrategyWords | None, *, look_seconds: float, scrape_seconds: float
) -> tuple[tuple[Rule, ...], list[str]]:
    """The rules of a strategy that counts can follow, and the names of its other metrics.

    Args:
        look_seconds: a rule that is asked once is asked at every look.
        scrape_seconds: between two scrapes; a window needs two of them.
    """
    found: list[Rule] = []
    skipped: list[str] = []
    for metric in _metrics(words):
        line = _line(metric)
        if line is None or metric.failure_limit < 0 or metric.window_seconds <= scrape_seconds:
            skipped.append(metric.name)
            continue
        interval = metric.interval_seconds or look_seconds
        rule = Rule(
            name=f"{name}/{metric.name}",
            line=line,
            window_seconds=metric.window_seconds,
            covered_seconds=metric.window_seconds - scrape_seconds,
            interval_seconds=max(interval, look_seconds),
            failure_limit=metric.failure_limit,
            count=(metric.count or None) if metric.interval_seconds is not None else 1,
            full_window=metric.initial_delay_seconds >= metric.window_seconds,
        )
        if all(rule != one for one in found):
            found.append(rule)
    return tuple(found), list(dict.fromkeys(skipped))


def _metrics(words: StrategyWords | None) -> list[MetricWords]:
    """All metrics of a strategy: beside its steps, in them, and around a switch."""
    if words is None:
        return []
    parts: list[Any] = [words.analysis]
    if words.canary is not None:
        parts += [words.canary.analysis, *(step.analysis for step in words.canary.steps)]
    if words.blue_green is not None:
        parts += [words.blue_green.pre_promotion, words.blue_green.post_promotion]
    return [metric for part in parts if part is not None for metric in part.metrics]


def _line(metric: MetricWords) -> float | None:
    """The error ratio above which a measurement fails; None for one that asks something else."""
    measure = getattr(metric, "measure", None)
    if measure not in ("error_ratio", "success_ratio") or metric.revision != "canary":
        return None
    text = metric.failure_condition or metric.success_condition
    if text is None:
        return None
    try:
        condition = Condition.parse(text)
    except ValueError:  # richer than one comparison
        return None
    fails_above = (condition.op in _ABOVE) == (metric.failure_condition is not None)
    if fails_above != (measure == "error_ratio") or condition.op in ("==", "!="):
        return None
    line = condition.threshold if measure == "error_ratio" else 1 - condition.threshold
    return line if 0 < line < 1 else None
