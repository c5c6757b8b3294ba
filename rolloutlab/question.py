"""From a scenario file to what an engine runs: cells that share a scenario, with what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scenarios.assumed import text_of
from scenarios.build import Built, build_strategies
from scenarios.errors import Place, ScenarioError, raise_all, unknown
from scenarios.library import find
from scenarios.load import Loaded, load_scenario
from scenarios.schema import Expectation, Scenario
from scenarios.units import duration_text, rate_text
from strategies.effects import Strategy

Harm = Literal["none", "canary", "stable", "both"]
Chosen = Iterable[str] | Mapping[str, Strategy] | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to read: a file, and what is changed in it for this run.

    Attributes:
        path: a file, or the bare name of a shipped scenario.
        variant: one variant of the file; None is the file as it stands.
        variants: with `variant` None, each variant of the file as well.
        overrides: `{"service.replicas": 20}`, laid over file, variant and manifests.
        strategies: names to keep, or strategies of one's own by name; None keeps those of the file.
        bind: what the queries of manifests measure.
        allow_python: run the code that `python:` entries name.
        strict: a query for a series that nothing exports is an error instead of a warning.
        base_dir: where file names given by overrides start; None is the folder of the file.
    """

    path: str | Path
    variant: str | None = None
    variants: bool = True
    overrides: Mapping[str, Any] = field(default_factory=dict)
    strategies: Chosen = None
    bind: Mapping[str, Any] = field(default_factory=dict)
    allow_python: bool = False
    strict: bool = False
    base_dir: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """One scenario and variant, read and built.

    Attributes:
        name, path, digest: of the file.
        harm: which revision the faults of the file sit in, if there are any.
        facts: what a reader wants to know of the world, in short words.
        parts: the scenario to run for each group of strategies (those behind a router, those without).
    """

    name: str
    variant: str | None
    path: str
    digest: str
    title: str
    text: str
    harm: Harm
    facts: tuple[str, ...]
    horizon_seconds: float
    parts: tuple[tuple[Scenario, dict[str, Strategy]], ...]
    expectations: tuple[Expectation, ...]
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def strategies(self) -> list[str]:
        """Names of all strategies, in the order of the file."""
        return [name for _, group in self.parts for name in group]


def read(asked: Asked) -> list[Question]:
    """The questions of one file: as it stands, and each of its variants.

    Raises:
        ScenarioErrors: everything wrong with the file, its manifests, or the names asked for.
    """
    path = find(asked.path)
    first = _load(asked, path, asked.variant, {})
    loaded = [first]
    if asked.variant is None and asked.variants:
        loaded += [_load(asked, path, name, {}) for name in first.scenario.variants]
    wanted = None if asked.strategies is None or isinstance(asked.strategies, Mapping) else tuple(asked.strategies)
    known = dict.fromkeys(name for one in loaded for name in one.scenario.strategies)
    raise_all(
        [
            unknown(name, known, field="strategy", place=Place(str(path)), what="strategy")
            for name in wanted or ()
            if name not in known
        ]
    )
    questions = [_question(asked, path, one, wanted) for one in loaded]
    return [question for question in questions if question.parts]


def _load(asked: Asked, path: Path, variant: str | None, facts: Mapping[str, Any]) -> Loaded:
    overrides = {**facts, **asked.overrides}  # what is asked for now wins over the manifest, which wins over the file
    return load_scenario(path, variant=variant, overrides=overrides, allow_python=asked.allow_python)


def _question(asked: Asked, path: Path, loaded: Loaded, wanted: tuple[str, ...] | None) -> Question:
    assumed, warnings = loaded.assumed, loaded.warnings
    if isinstance(asked.strategies, Mapping):
        strategies = dict(asked.strategies)
        routed = dict.fromkeys(strategies, loaded.scenario.router.kind == "weighted")
    else:
        built = _built(asked, loaded)
        if built.patch:
            loaded = _load(asked, path, loaded.variant, built.patch)
            assumed = loaded.assumed
        strategies, routed = built.strategies, built.routed
        assumed, warnings = (*assumed, *built.assumed), (*warnings, *built.warnings)
    strategies = {name: one for name, one in strategies.items() if wanted is None or name in wanted}
    scenario = loaded.scenario
    harms = {fault.on for fault in scenario.faults} if scenario.release.bad > 0 else set()
    harm: Harm = "none" if not harms else harms.pop() if len(harms) == 1 else "both"
    return Question(
        name=path.stem,
        variant=loaded.variant,
        path=str(asked.path),
        digest=loaded.digest,
        title=scenario.title or path.stem,
        text=scenario.question,
        harm=harm,
        facts=_facts(scenario),
        horizon_seconds=scenario.horizon_seconds,
        parts=_parts(scenario, strategies, routed),
        expectations=tuple(each for each in scenario.expect if each.variant == loaded.variant),
        assumed=tuple(dict.fromkeys(assumed)),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _built(asked: Asked, loaded: Loaded) -> Built:
    return build_strategies(
        loaded, base_dir=asked.base_dir, allow_python=asked.allow_python, bind=asked.bind, strict=asked.strict
    )


def _parts(
    scenario: Scenario, strategies: Mapping[str, Strategy], routed: Mapping[str, bool]
) -> tuple[tuple[Scenario, dict[str, Strategy]], ...]:
    """Neighbouring strategies that share a scenario: a manifest without a router splits traffic by pods."""
    parts: list[tuple[Scenario, dict[str, Strategy]]] = []
    for name, strategy in strategies.items():
        kind = "weighted" if routed[name] else "pods"
        if not parts or parts[-1][0].router.kind != kind:
            here = scenario
            if here.router.kind != kind:
                here = here.model_copy(update={"router": here.router.model_copy(update={"kind": kind})})
            parts.append((here, {}))
        parts[-1][1][name] = strategy
    return tuple(parts)


def _facts(scenario: Scenario) -> tuple[str, ...]:
    service = scenario.service
    traffic = "traffic " + text_of(scenario.traffic).strip("{}")
    if scenario.traffic.kind == "constant":
        traffic = rate_text(scenario.traffic.rate_per_second)
    elif scenario.traffic.kind == "trace":
        traffic = f"traffic of {Path(scenario.traffic.file).name}"
        if scenario.traffic.scale_to_mean_per_second is not None:
            traffic += f" scaled to {scenario.traffic.scale_to_mean_per_second:g}/s on average"
    return (
        f"{service.replicas} replicas",
        traffic,
        f"bad = failed or slower than {duration_text(scenario.slo.latency_seconds)}",
        f"horizon {duration_text(scenario.horizon_seconds)}",
    )


def binding(text: str) -> tuple[str, str]:
    """`name=error_ratio:canary` as a pair.

    Raises:
        ScenarioError: no `=` in it.
    """
    name, equals, measure = text.partition("=")
    if not (name and equals and measure):
        raise ScenarioError(
            expected="name=measure, such as success-rate=success_ratio:canary", got=text, field="--bind"
        )
    return name, measure
