"""What a user's own manifest does to a release: good, failing, slow, crashing, leaking. No scenario file needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rolloutlab import door
from rolloutlab.result import Result

NAME = "yours"


def predicted(
    files: Sequence[str | Path],
    *,
    rate: str,
    bind: Mapping[str, Any],
    runs: int,
    strict: bool = False,
    seed: int = 0,
    jobs: int | None = None,
    engine: door.Engine = "batch",
    again: str = "",
    changes: Mapping[str, Any] | None = None,
    on_progress: door.Progress | None = None,
) -> Result:
    """Run the manifest in the shipped worlds.

    Args:
        files: the manifest, then files with its templates; names are relative to the working directory.
        rate: requests of the service.
        bind: what the queries of its analysis measure, where they are not answered as they stand.
        strict: a query for a series that nothing exports is an error instead of a warning.
        changes: overrides of the worlds.

    Raises:
        ScenarioErrors: everything wrong with the manifests.
    """
    from scenarios.units import rate as parse_rate

    _checked(rate, parse_rate)
    manifest, *templates = map(str, files)
    entry: dict[str, Any] = {"from": manifest}
    if templates:
        entry["templates"] = templates
    traffic = {"kind": "constant", "rate": rate}
    questions = door.worlds(
        {NAME: entry}, overrides={"traffic": traffic, **(changes or {})}, bind=bind, strict=strict, base_dir=Path()
    )
    inputs = {"manifests": [manifest, *templates], "rate": rate, "bind": dict(bind)}
    return door.run(
        questions,
        command="predict",
        runs=runs,
        seed=seed,
        jobs=jobs,
        engine=engine,
        on_progress=on_progress,
        inputs=inputs,
        again=again,
        title=f"What {Path(manifest).name} would do to a release",
    )


def _checked(rate: str, parse: Any) -> None:
    from scenarios.errors import ScenarioError

    try:
        parse(rate)
    except ValueError as error:
        raise ScenarioError(str(error), field="--rate") from None
