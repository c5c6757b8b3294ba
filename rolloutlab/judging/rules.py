"""What a scenario's own strategy asks of the canary's errors: lines under a ratio, typed or in PromQL, and judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rolloutlab.judging.bench import OwnJudge, Rule
from rolloutlab.judging.ratios import Asks, ratio_of
from scenarios.build import build_strategies
from scenarios.load import Loaded
from scenarios.schema import Scenario
from scenarios.strategy_check import strategy_words
from scenarios.strategy_spec import AnalysisWords, MetricWords, StrategyWords
from scenarios.yaml_nodes import from_plain
from strategies.analysis import Condition

_ABOVE = (">", ">=")


@dataclass
class Own:
    """What a strategy asks: rules and judges that counts can follow, and the names of its other metrics."""

    rules: list[Rule] = field(default_factory=list)
    judges: list[OwnJudge] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def interval_seconds(self) -> float | None:
        """How often it looks; None when it asks nothing that is judged here."""
        found = [one.interval_seconds for one in self.rules] + [one.interval_seconds for one in self.judges]
        return found[0] if found else None


def words_of(
    loaded: Loaded, name: str, bind: Mapping[str, str]
) -> tuple[StrategyWords | None, Mapping[str, Any], tuple[str, ...]]:
    """The words of one strategy of a file, of its manifest where it names one; None for one in Python.

    Returns:
        Also what the manifest says of the service, as overrides, and what was assumed for it.

    Raises:
        ScenarioErrors: everything wrong with the entry, and with the manifest that it names.
    """
    entry, _ = loaded.root.nearest(("strategies", name))
    words = strategy_words(entry, ("strategies", name))
    if words.manifest is None:
        return (words if words.python is None else None), {}, ()
    alone = loaded.scenario.model_copy(update={"strategies": {name: loaded.scenario.strategies[name]}})
    built = build_strategies(alone, base_dir=loaded.path.parent, where=loaded.root, bind=bind)
    imported = built.imported[name]
    return strategy_words(from_plain(imported.words, imported.place), ()), built.patch, built.assumed


def own_of(name: str, words: StrategyWords | None, scenario: Scenario, *, look_seconds: float) -> Own:
    """What a strategy asks of the canary's errors.

    Args:
        look_seconds: a metric that is asked once is asked at every look.
    """
    found = Own()
    for part in _parts(words):
        if part.judge is not None:
            judging = part.judge.judging()
            found.judges.append(OwnJudge(f"{name}/{judging.name}", judging.judge, judging.every_seconds))
        for metric in part.metrics:
            rule = _rule(f"{name}/{metric.name}", metric, scenario, look_seconds)
            if rule is None:
                found.skipped.append(metric.name)
            elif rule not in found.rules:
                found.rules.append(rule)
    found.skipped = list(dict.fromkeys(found.skipped))
    return found


def _parts(words: StrategyWords | None) -> list[AnalysisWords]:
    """All analyses of a strategy: beside its steps, in them, and around a switch."""
    if words is None:
        return []
    parts: list[Any] = [words.analysis]
    if words.canary is not None:
        parts += [words.canary.analysis, *(step.analysis for step in words.canary.steps)]
    if words.blue_green is not None:
        parts += [words.blue_green.pre_promotion, words.blue_green.post_promotion]
    return [part for part in parts if part is not None]


def _rule(name: str, metric: MetricWords, scenario: Scenario, look_seconds: float) -> Rule | None:
    """A metric as a rule; None for one that asks something else, or that cannot fail."""
    asks = _asks(metric, scenario)
    line = _line(metric, asks) if asks is not None else None
    scrape = scenario.metrics.scrape_interval_seconds
    decides = metric.failure_limit >= 0 and not metric.dry_run and not metric.consecutive_success_limit
    if asks is None or line is None or not decides or asks.window_seconds <= scrape:
        return None
    return Rule(
        name=name,
        line=line,
        window_seconds=asks.window_seconds,
        covered_seconds=asks.window_seconds - scrape,
        interval_seconds=max(metric.interval_seconds or look_seconds, look_seconds),
        failure_limit=metric.failure_limit,
        count=(metric.count or None) if metric.interval_seconds is not None else 1,
        full_window=metric.initial_delay_seconds >= asks.window_seconds,
        delay_seconds=metric.initial_delay_seconds,
    )


def _asks(metric: MetricWords, scenario: Scenario) -> Asks | None:
    """The ratio of errors of the canary that a metric asks for, in a word or in PromQL."""
    if metric.query is not None:
        return ratio_of(metric.query, scenario)
    if metric.measure in ("error_ratio", "success_ratio") and metric.revision == "canary":
        return Asks("error_ratio" if metric.measure == "error_ratio" else "success_ratio", metric.window_seconds)
    return None


def _line(metric: MetricWords, asks: Asks) -> float | None:
    """The error ratio above which a measurement fails; None for another kind of condition."""
    text = metric.failure_condition or metric.success_condition
    if text is None:
        return None
    try:
        condition = Condition.parse(text)
    except ValueError:  # richer than one comparison
        return None
    if condition.op in ("==", "!="):
        return None
    fails_above = (condition.op in _ABOVE) == (metric.failure_condition is not None)
    if fails_above != (asks.kind == "error_ratio"):
        return None
    ratio = condition.threshold / metric.factor
    line = ratio if asks.kind == "error_ratio" else 1 - ratio
    return line if 0 < line < 1 else None
