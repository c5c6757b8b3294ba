"""From a scenario file to a bench: traffic, weight, fault and plumbing, and every choice that had to be made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rolloutlab.judging.bench import DAY_LOOK_SECONDS, HOUR, Bench, Plumbing
from rolloutlab.judging.rules import own_of, words_of
from scenarios.errors import Place, ScenarioError, unknown
from scenarios.library import find
from scenarios.load import Loaded, load_scenario
from scenarios.schema import ErrorRatioFault, Scenario, Severity
from scenarios.strategy_spec import CanaryWords, ProgressiveRollback, StrategyWords
from scenarios.units import duration, duration_text, rate_text, share, share_text
from scenarios.yaml_nodes import Key

PROMETHEUS_SECONDS: Final = 60.0  #: its default evaluation interval
#: parts of a file that a bench reads: defaults taken there are worth telling
_USED: Final = ("service.errorRatio", "traffic", "metrics", "router", "slo", "release")
_SHORTEST_LOOK: Final = 1.0
_LONGEST_LOOK: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the caller says beside the file, each in the words of the command line; None leaves it to the file.

    Attributes:
        weight: share of traffic on the canary, such as 10%.
        to: error ratio of the bad canary, in place of the fault of the file.
        alpha: false-positive rate that is allowed over the hour.
        look: time between two looks at the counts.
        strategy: whose weight and rules are taken; None takes the first canary.
        overrides: laid over the file, as `--set`.
        bind: what the queries of manifests measure.
    """

    weight: str | None = None
    to: str | None = None
    alpha: str = "1%"
    look: str = "1s"
    strategy: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    bind: Mapping[str, Any] = field(default_factory=dict)


def read_bench(path: str | Path, asked: Asked) -> Bench:
    """The bench of one scenario file, or of a shipped one by its name.

    Raises:
        ScenarioErrors: everything wrong with the file.
        ScenarioError: an option that cannot be read, or a file that leaves out what judges need.
    """
    alpha = _inside("--alpha", asked.alpha)
    look = _look(asked.look)
    file = find(path)
    loaded = load_scenario(file, overrides=asked.overrides)
    name, words, patch, told = _strategy(loaded, asked)
    if patch:  # what is asked for wins over the manifest, which wins over the file
        loaded = load_scenario(file, overrides={**patch, **asked.overrides})
    scenario, notes = loaded.scenario, [line for line in told if line.startswith("metric")]
    canary = words.canary if words is not None else None
    weight = _weight(canary, name, asked, loaded, notes)
    rate = _rate(scenario, notes)
    if not rate > 0:
        raise _missing(loaded, ("traffic",), "expected traffic of more than 0 requests/s", rate_text(rate))
    p0 = scenario.service.error_ratio
    if not 0 < p0 < 1:
        raise _missing(loaded, ("service", "errorRatio"), "expected an errorRatio above 0% and below 100%", p0)
    p1, fault = _bad(loaded, p0, asked, notes)
    horizon = min(scenario.horizon_seconds, HOUR)
    if scenario.horizon_seconds > HOUR:
        notes.append(f"horizon = 1h (the file says {duration_text(scenario.horizon_seconds)}; fine looks end there)")
    if fault >= horizon:
        problem = f"expected a fault that begins before the judges stop looking ({duration_text(horizon)})"
        raise _missing(loaded, ("faults",), problem, duration_text(fault))
    own = own_of(name, words, scenario, look_seconds=look)
    scrape = duration_text(scenario.metrics.scrape_interval_seconds)
    notes.append(f"the canary keeps {share_text(weight)} of the traffic for the whole {duration_text(horizon)}")
    for rule in own.rules:
        window, covered = duration_text(rule.window_seconds), duration_text(rule.covered_seconds)
        notes.append(f"{rule.name}: a rate over {window} rests on {covered} of traffic (a scrape each {scrape})")
        if rule.interval_seconds < rule.delay_seconds < rule.window_seconds:
            first, said = duration_text(rule.interval_seconds), duration_text(rule.delay_seconds)
            notes.append(f"{rule.name}: measures from {first} on (the scenario says {said})")
    if own.skipped:
        notes.append(f"no rule is made of {', '.join(own.skipped)}: judges here see counts of errors of the canary")
    metrics = scenario.metrics
    if metrics.missed or metrics.outage is not None:
        notes.append("missed scrapes and outages of metrics are not on the bench; simulate has them")
    return Bench(
        name=file.stem,
        title=scenario.title or file.stem,
        path=str(path),
        digest=loaded.digest,
        rate_per_second=rate,
        share=weight,
        p0=p0,
        p1=p1,
        fault_seconds=fault,
        alpha=alpha,
        look_seconds=look,
        horizon_seconds=horizon,
        objective=scenario.slo.objective,
        step_seconds=_first_step(canary),
        plumbing=_plumbing(scenario, words, own.interval_seconds, notes),
        rules=tuple(own.rules),
        judges=tuple(own.judges),
        assumed=(*notes, *_numbers(look), *(line for line in loaded.assumed if line.startswith(_USED))),
        warnings=loaded.warnings,
    )


def _numbers(look: float) -> tuple[str, ...]:
    day = duration_text(max(look, DAY_LOOK_SECONDS))
    return (
        f"judges look at the counts every {duration_text(look)} (--look); the day is looked at every {day}",
        "requests are Poisson, errors independent of each other: retries and sticky users make real counts rougher",
    )


# --- options -----------------------------------------------------------------------------------------------------


def _inside(option: str, text: str) -> float:
    """A share strictly between 0 and 1 that an option gives."""
    try:
        value = share(text if text.endswith("%") else float(text))
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise ScenarioError(expected="a percentage above 0% and below 100%, such as 5%", got=text, field=option)
    return value


def _look(text: str) -> float:
    try:
        value = duration(text)
    except ValueError:
        value = math.nan
    if not (_SHORTEST_LOOK <= value <= _LONGEST_LOOK and (HOUR / value).is_integer()):
        what = f"a duration from {duration_text(_SHORTEST_LOOK)} to {duration_text(_LONGEST_LOOK)} that divides an hour"
        raise ScenarioError(expected=f"{what}, such as 15s", got=text, field="--look")
    return value


def _missing(loaded: Loaded, path: tuple[Key, ...], problem: str, got: object) -> ScenarioError:
    field = ".".join(map(str, path))
    return ScenarioError(f"{problem}, got {got}", field=field, place=loaded.place(path), got=got)


# --- strategy and weight -----------------------------------------------------------------------------------------


_Strategy = tuple[str, StrategyWords | None, Mapping[str, Any], tuple[str, ...]]


def _strategy(loaded: Loaded, asked: Asked) -> _Strategy:
    """The strategy whose weight and rules are taken: the one asked for, or the first with a canary."""
    names = loaded.scenario.strategies
    if asked.strategy is not None:
        if asked.strategy not in names:
            place = Place(str(loaded.path))
            raise unknown(asked.strategy, names, field="--strategy", place=place, what="strategy")
        return asked.strategy, *words_of(loaded, asked.strategy, asked.bind)
    for name in names:
        words, patch, told = words_of(loaded, name, asked.bind)
        if words is not None and words.canary is not None:
            return name, words, patch, told
    return "", None, {}, ()


def _weights(canary: CanaryWords | None) -> Iterator[float]:
    for step in canary.steps if canary is not None else ():
        if step.set_weight is not None:
            yield step.set_weight / 100


def _weight(canary: CanaryWords | None, name: str, asked: Asked, loaded: Loaded, notes: list[str]) -> float:
    if asked.weight is not None:
        notes.append(f"canary weight = {asked.weight} (--weight)")
        return _inside("--weight", asked.weight)
    least = max((fault.from_weight or 0.0 for fault in _errors(loaded.scenario)), default=0.0)
    for weight in _weights(canary):
        if 0 < weight < 1 and weight >= least:
            why = "first setWeight" if not least else "first setWeight at which the fault acts"
            notes.append(f"canary weight = {share_text(weight)} ({why} of strategy {name})")
            return weight
    what = "a canary strategy with a setWeight above 0 and below 100, or --weight 10%"
    raise _missing(loaded, ("strategies",), f"expected {what}", ", ".join(loaded.scenario.strategies))


def _first_step(canary: CanaryWords | None) -> float | None:
    """Time that the pauses of the first weight take; None when a person ends it, or there is none."""
    seconds, begun = 0.0, False
    for step in canary.steps if canary is not None else ():
        if step.set_weight:
            if begun:
                return seconds
            begun = True
        elif step.pause is not None:
            if step.pause.duration_seconds is None:
                return None
            seconds += step.pause.duration_seconds
    return seconds if begun and seconds > 0 else None


# --- traffic and fault -------------------------------------------------------------------------------------------


def _rate(scenario: Scenario, notes: list[str]) -> float:
    traffic = scenario.traffic
    if traffic.kind == "constant":
        return traffic.rate_per_second
    if traffic.kind == "daily":
        rate, what = traffic.mean_per_second, "the mean of the daily curve"
    elif traffic.kind == "flash_crowd":
        rate, what = traffic.base_per_second, "the base below the flash crowd"
    else:
        from scenarios.trace import read_trace

        given = traffic.scale_to_mean_per_second
        rate, what = (given if given is not None else read_trace(traffic.file).mean_per_second), "the mean of the trace"
    notes.append(f"traffic = {rate_text(float(f'{rate:.4g}'))}, constant ({what})")
    return rate


def _errors(scenario: Scenario) -> list[ErrorRatioFault]:
    return [fault for fault in scenario.faults if isinstance(fault, ErrorRatioFault) and fault.on == "canary"]


def _bad(loaded: Loaded, p0: float, asked: Asked, notes: list[str]) -> tuple[float, float]:
    """Error ratio of the bad canary, and when the fault begins."""
    if asked.to is not None:
        p1 = _inside("--to", asked.to)
        if not p1 > p0:
            raise ScenarioError(expected=f"more than the service's own {share_text(p0)}", got=asked.to, field="--to")
        notes.append(f"error ratio of the bad canary = {share_text(p1)} (--to)")
        return p1, 0.0
    scenario, faults = loaded.scenario, _errors(loaded.scenario)
    if not faults or len({fault.from_seconds for fault in faults}) > 1:
        got = ", ".join(f"{fault.kind} on {fault.on}" for fault in scenario.faults) or "no fault"
        what = "error_ratio faults on the canary that begin together, or --to 5%"
        raise _missing(loaded, ("faults",), f"expected {what}", got)
    factor = _severity(scenario, notes)
    good = 1 - p0
    for fault in faults:
        good *= 1 - min(1.0, fault.ratio * factor)
    p1 = 1 - good
    if not p0 < p1 < 1:
        raise _missing(loaded, ("faults",), "expected a fault that adds some errors and leaves some answers", p1)
    others = [fault.kind for fault in scenario.faults if fault not in faults]
    if others:
        notes.append(f"not judged here: {', '.join(others)}")
    return p1, faults[0].from_seconds


def _severity(scenario: Scenario, notes: list[str]) -> float:
    severity = scenario.release.severity
    if not isinstance(severity, Severity):
        return severity
    middle = severity.median if severity.kind == "lognormal" else (severity.low + severity.high) / 2
    notes.append(f"severity = {middle:g} (the middle of its law)")
    return middle


# --- plumbing ----------------------------------------------------------------------------------------------------


def _plumbing(
    scenario: Scenario, words: StrategyWords | None, own_interval: float | None, notes: list[str]
) -> Plumbing:
    evaluation = PROMETHEUS_SECONDS if own_interval is None else own_interval
    why = "Prometheus' default" if own_interval is None else "interval of the strategy's analysis"
    notes.append(f"who runs a judge asks every {duration_text(evaluation)} ({why})")
    metrics = scenario.metrics
    return Plumbing(
        scrape_seconds=metrics.scrape_interval_seconds,
        lag_seconds=metrics.lag_seconds + metrics.jitter_seconds / 2,
        evaluation_seconds=evaluation,
        query_seconds=metrics.query_seconds,
        router_seconds=scenario.router.lag_seconds,
        rollback_seconds=_way_down(words),
    )


def _way_down(words: StrategyWords | None) -> float:
    """Time that the steps of a progressive rollback keep some traffic on the canary."""
    if words is None or not isinstance(words.rollback, ProgressiveRollback):
        return 0.0
    steps = words.rollback.progressive
    return (len(steps.weights) - 1) * steps.pause_seconds
