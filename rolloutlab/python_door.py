"""The functions of `import rolloutlab as lab`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rolloutlab import door
from rolloutlab.question import Asked, Chosen, read
from rolloutlab.result import Result
from scenarios.library import find
from scenarios.load import Loaded, load_scenario


@dataclass(frozen=True)
class ScenarioFile:
    """A scenario file with changes laid over it. Made by `lab.scenario`; never changed, only copied."""

    path: str | Path
    variant: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> ScenarioFile:
        """A copy with some values changed: `with_(release__severity=2, service__error_ratio="0.2%")`.

        Two underscores step into a field, numbers into a list (`faults__0__ratio="8%"`); words are those of the file,
        in snake_case or as they stand there. Values carry units as in the file.

        Raises:
            ScenarioErrors: a name or value that the schema does not know.
        """
        named = {".".join(map(_word, name.split("__"))): value for name, value in changes.items()}
        changed = replace(self, overrides={**self.overrides, **named})
        changed.load()
        return changed

    def load(self) -> Loaded:
        """The typed scenario (`.scenario`), what was assumed for it, and where each value stands."""
        return load_scenario(find(self.path), variant=self.variant, overrides=self.overrides)

    def _repr_html_(self) -> str:
        from markupsafe import escape

        loaded = self.load()
        rows = "".join(
            f"<li><code>{escape(name)}</code> = {escape(value)}</li>" for name, value in self.overrides.items()
        )
        strategies = ", ".join(loaded.scenario.strategies)
        title, text = escape(loaded.scenario.title), escape(loaded.scenario.question)
        return f"<strong>{title}</strong><p>{text}</p><p>Strategies: {escape(strategies)}</p><ul>{rows}</ul>"


def _word(name: str) -> str:
    """A word of a file: `error_ratio` is `errorRatio`."""
    return re.sub(r"(?<=[a-z0-9])_([a-z])", lambda found: found[1].upper(), name)


def scenario(path: str | Path, *, variant: str | None = None) -> ScenarioFile:
    """A scenario file, or a shipped one by its name, to look at and to change.

    >>> scenario("errors-5pct").with_(service__error_ratio="0.2%").load().scenario.service.error_ratio
    0.002

    Raises:
        ScenarioErrors: everything wrong with the file.
    """
    found = ScenarioFile(path, variant)
    found.load()
    return found


def simulate(
    path: str | Path | ScenarioFile,
    *,
    runs: int = door.RUNS,
    seed: int = 0,
    jobs: int | None = None,
    engine: door.Engine = "batch",
    strategies: Chosen = None,
    variant: str | None = None,
    bind: Mapping[str, Any] | None = None,
    allow_python: bool = False,
    strict: bool = False,
    on_progress: door.Progress | None = None,
) -> Result:
    """Run the strategies of a scenario.

    Args:
        path: a file, the name of a shipped scenario, or `lab.scenario(...).with_(...)`.
        runs: replications of each strategy.
        seed: the same gives the same numbers, for any number of `jobs`.
        jobs: worker processes; None takes as many as pay.
        engine: `batch`, or `event` (a process per request, slow: the reference).
        strategies: names to keep, or `{"mine": Strategy(...)}` in place of those of the file.
        variant: one variant of the file; None runs the file as it stands and each of its variants.
        bind: what the queries of manifests measure, `{"success-rate": "success_ratio:canary"}`.
        allow_python: run the code that `python:` entries of the file name.
        strict: a query for a series that nothing exports is an error, instead of a warning and an empty answer.
        on_progress: called with (replications done, replications asked for).

    Raises:
        ScenarioErrors: everything wrong with the input.
        StrategyError: a strategy broke its contract.
    """
    asked = _asked(path, strategies=strategies, variant=variant, bind=bind, allow_python=allow_python, strict=strict)
    return door.run(
        read(asked), command="simulate", runs=runs, seed=seed, jobs=jobs, engine=engine, on_progress=on_progress
    )


def compare(
    path: str | Path | ScenarioFile | Iterable[str | Path | ScenarioFile],
    *,
    runs: int = door.RUNS,
    seed: int = 0,
    jobs: int | None = None,
    engine: door.Engine = "batch",
    strategies: Chosen = None,
    variant: str | None = None,
    bind: Mapping[str, Any] | None = None,
    allow_python: bool = False,
    strict: bool = False,
    on_progress: door.Progress | None = None,
) -> Result:
    """Run the strategies of one scenario, or of several, and tell how they differ in the same worlds.

    Takes what `simulate` takes; `result.differences()` are the paired differences, `result.report("page.html")` writes
    the page.
    """
    paths = [path] if isinstance(path, str | Path | ScenarioFile) else list(path)
    more: dict[str, Any] = {"strategies": strategies, "allow_python": allow_python, "strict": strict}
    questions = [question for one in paths for question in read(_asked(one, variant=variant, bind=bind, **more))]
    return door.run(
        questions, command="compare", runs=runs, seed=seed, jobs=jobs, engine=engine, on_progress=on_progress
    )


def predict(
    manifest: str | Path,
    *templates: str | Path,
    rate: str = "100/s",
    bind: Mapping[str, Any] | None = None,
    strict: bool = False,
    runs: int = door.RUNS,
    seed: int = 0,
    jobs: int | None = None,
    on_progress: door.Progress | None = None,
) -> Result:
    """What a Rollout or Deployment would do to a release that is good, failing, slow, crashing or leaking.

    Args:
        manifest: an Argo Rollout or a Deployment.
        templates: further files, with its AnalysisTemplates.
        rate: requests of the service, `120/s`.
        bind: what queries of the analysis measure, where they are not answered as they stand.
        strict: a query for a series that nothing exports is an error, instead of a warning and an empty answer.

    Raises:
        ScenarioErrors: everything wrong with the manifests.
    """
    from rolloutlab.prediction import predicted

    return predicted(
        [manifest, *templates],
        rate=rate,
        bind=bind or {},
        strict=strict,
        runs=runs,
        seed=seed,
        jobs=jobs,
        on_progress=on_progress,
    )


def _asked(
    path: str | Path | ScenarioFile, *, variant: str | None, bind: Mapping[str, Any] | None, **more: Any
) -> Asked:
    if isinstance(path, ScenarioFile):
        return Asked(path=path.path, variant=variant or path.variant, overrides=path.overrides, bind=bind or {}, **more)
    return Asked(path=path, variant=variant, bind=bind or {}, **more)
