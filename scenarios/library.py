"""The scenarios that are shipped: one question a file, found by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from scenarios.errors import Place, ScenarioError, ScenarioErrors, unknown

FOLDER: Final = Path(__file__).with_name("library")


def _exists(path: Path) -> bool:
    """Is there something of this name? What is too long, or holds a NUL, names nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@cache
def names() -> tuple[str, ...]:
    """Names of all shipped scenarios, sorted; files in `parts/` are what others extend, not questions of their own."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def find(name: str | Path) -> Path:
    """The file of a scenario: a shipped one by its bare name, any other by its path.

    >>> find("errors-5pct").name
    'errors-5pct.yaml'

    Raises:
        ScenarioErrors: a bare name that nobody knows (with the nearest), or a path without a file.
    """
    text = str(name)
    path = Path(name)
    if text in names():
        return FOLDER / f"{text}.yaml"
    if _exists(path):
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        problem = "expected a scenario file: no such file or directory"
        raise ScenarioErrors([ScenarioError(problem, place=Place(text))])
    raise ScenarioErrors([unknown(text, names(), what="scenario")])
