"""What no single field can know: expectations speak of strategies, variants and columns that exist, and the like."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Final

from scenarios.errors import ScenarioError, dotted, shown, unknown
from scenarios.outcome import COLUMNS, NUMBERS, OUTCOMES, TRUTHS
from scenarios.schema import (
    ConstantTraffic,
    DailyTraffic,
    Expectation,
    FlashCrowd,
    MemoryLeakFault,
    PoolLeakFault,
    Scenario,
)
from scenarios.units import duration_text
from scenarios.yaml_nodes import Key, Node

MAX_NAME: Final = 100  #: characters of the name of a strategy or a variant
MAX_SCRAPES: Final = 5_000_000  #: in one horizon
_SHARES = (*(f"outcome={name}" for name in OUTCOMES), *TRUTHS)


def cross_errors(root: Node, scenario: Scenario | None, *, allow_python: bool) -> list[ScenarioError]:
    """Errors beyond the schema, each with its place; those about values only when the schema holds."""
    errors = [] if allow_python else _python(root)
    if scenario is not None:
        errors += _names(root, scenario)
        errors += _scrapes(root, scenario)
        errors += _leaks(root, scenario)
        for number, expectation in enumerate(scenario.expect):
            errors += _expectation(root, scenario, expectation, ("expect", number))
    return errors


def _python(root: Node) -> list[ScenarioError]:
    """A file must not make its reader run code unasked."""
    strategies = root.child("strategies")
    if strategies is None or not isinstance(strategies.value, dict):
        return []
    problem = "a strategy that runs Python code is refused; give --allow-python if you trust this file"
    return [
        ScenarioError(problem, field=dotted(("strategies", name, "python")), place=code.key_place)
        for name, node in strategies.value.items()
        if (code := node.child("python")) is not None
    ]


def _names(root: Node, scenario: Scenario) -> list[ScenarioError]:
    """Names that a reader, or an option, could not say."""
    errors = []
    for section, names in (("strategies", scenario.strategies), ("variants", scenario.variants)):
        for name in names:
            if not name.strip() or len(name) > MAX_NAME:
                node, _ = root.nearest((section, name))
                problem = f"expected a name of 1 to {MAX_NAME} characters, got {shown(name)}"
                errors.append(ScenarioError(problem, field=section, place=node.key_place))
    return errors


def _scrapes(root: Node, scenario: Scenario) -> list[ScenarioError]:
    """A horizon of so many scrapes would not end in a lifetime."""
    interval = scenario.metrics.scrape_interval_seconds
    if scenario.horizon_seconds <= interval * MAX_SCRAPES:
        return []
    node, _ = root.nearest(("metrics", "scrapeInterval"))
    least = duration_text(math.ceil(scenario.horizon_seconds / MAX_SCRAPES * 1000) / 1000)
    problem = (
        f"expected at least {least} (a horizon holds at most {MAX_SCRAPES} scrapes), got {duration_text(interval)}"
    )
    return [ScenarioError(problem, field="metrics.scrapeInterval", place=node.place)]


def _leaks(root: Node, scenario: Scenario) -> list[ScenarioError]:
    """A pod has one count of requests to its next death: two leaks that count them would need two."""
    counting = [
        number
        for number, fault in enumerate(scenario.faults)
        if (isinstance(fault, MemoryLeakFault) and fault.mib_per_request is not None)
        or isinstance(fault, PoolLeakFault)
    ]
    problem = "a second leak that counts requests is not simulated yet, expected at most one in a file"
    return [
        ScenarioError(problem, field=dotted(("faults", number)), place=root.nearest(("faults", number))[0].place)
        for number in counting[1:]
    ]


def _expectation(root: Node, scenario: Scenario, said: Expectation, path: tuple[Key, ...]) -> list[ScenarioError]:
    """Words of an expectation that name nothing."""
    errors = []

    def refuse(name: str, known: list[str], field: str) -> None:
        here = (*path, field)
        node, _ = root.nearest(here)
        errors.append(unknown(name, known, field=dotted(here), place=node.place, what=field))

    strategies = [*scenario.strategies, *scenario.variants.get(said.variant or "", {}).get("strategies", {})]
    if said.strategy not in strategies:
        refuse(said.strategy, strategies, "strategy")
    if said.variant is not None and said.variant not in scenario.variants:
        refuse(said.variant, list(scenario.variants), "variant")
    known = sorted(_SHARES if said.statistic == "share" else NUMBERS)
    if said.column not in known:
        if said.column in COLUMNS:
            node, _ = root.nearest((*path, "column"))
            problem = f"{said.column} has no {said.statistic}"
            errors.append(ScenarioError(problem, field=dotted((*path, "column")), place=node.place, known=known))
        else:
            refuse(said.column, known, "column")
    elif said.statistic == "share" and not 0 <= said.between[0] <= said.between[1] <= 1:
        node, _ = root.nearest((*path, "between"))
        got = f"[{said.between[0]:g}, {said.between[1]:g}]"
        problem = f"expected two shares from 0 to 1, got {got}"
        errors.append(ScenarioError(problem, field=dotted((*path, "between")), place=node.place))
    return errors


def warnings_of(scenario: Scenario, root: Node) -> tuple[str, ...]:
    """What a reader should know before trusting a result: nothing here is wrong, but it may not be meant."""
    warnings = []
    for number, fault in enumerate(scenario.faults):
        if fault.from_seconds >= scenario.horizon_seconds:
            node, _ = root.nearest(("faults", number))
            place = PurePath(node.place.file).name
            begins, horizon = duration_text(fault.from_seconds), duration_text(scenario.horizon_seconds)
            warnings.append(
                f"{place}:{node.place.line} faults[{number}]: begins at {begins}, which is not before the horizon "
                f"({horizon}): it never acts"
            )
    busy = _utilisation(scenario)
    if busy is not None and busy >= 1:
        warnings.append(
            f"service: offered load is {busy:.2f} times what {scenario.service.replicas} pods with "
            f"{scenario.service.threads} threads can answer; queues grow without end"
        )
    return tuple(warnings)


def _utilisation(scenario: Scenario) -> float | None:
    """Peak rate x mean time to answer / threads of all pods; None for a trace."""
    match scenario.traffic:
        case ConstantTraffic(rate_per_second=rate):
            peak = rate
        case DailyTraffic(mean_per_second=mean, amplitude=amplitude):
            peak = mean * (1 + amplitude)
        case FlashCrowd(peak_per_second=rate):
            peak = rate
        case _:
            return None
    law = scenario.service.latency
    sigma = math.log(law.p99_seconds / law.p50_seconds) / 2.3263478740408408  # z of the 99th percentile
    mean_seconds = law.p50_seconds * math.exp(sigma * sigma / 2)
    return peak * mean_seconds / (scenario.service.replicas * scenario.service.threads)
