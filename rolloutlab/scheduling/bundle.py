"""A scenario file with everything that it names, as a ConfigMap carries it: the same names, relative to each other."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scenarios.errors import ScenarioError, ScenarioErrors
from scenarios.load import Loaded, load_scenario
from scenarios.yaml_nodes import Key, read_bytes

MOST_BYTES: Final = 900_000  #: of all files; the API server takes 1 MiB with everything around them


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files by their path below the folder that they are mounted at.

    Attributes:
        scenario: path of the scenario among them.
        files: path -> text, in the order of their names.
    """

    scenario: str
    files: Mapping[str, str]

    def keys(self) -> dict[str, str]:
        """Path -> key in a ConfigMap, which knows no folders.

        >>> Bundle("a.yaml", {"a.yaml": "", "parts/a.yaml": "", "parts_a.yaml": ""}).keys()
        {'a.yaml': 'a.yaml', 'parts/a.yaml': 'parts_a.yaml', 'parts_a.yaml': 'parts_a.yaml.2'}
        """
        found: dict[str, str] = {}
        for path in self.files:
            key = plain = re.sub(r"[^-._a-zA-Z0-9]", "_", path)[:240]
            number = 1
            while key in found.values():
                number += 1
                key = f"{plain}.{number}"
            found[path] = key
        return found


def bundle(path: Path, overrides: Mapping[str, Any]) -> Bundle:
    """Read a scenario file and what it, or one of its variants, names.

    Args:
        overrides: what is changed in the file; it may not name files of its own.

    Raises:
        ScenarioErrors: the file is wrong; it names what cannot go along; or all of it is too large.
    """
    named = _named(path, overrides)
    root = Path(os.path.commonpath([file.parent for file in named.values()]))
    texts = {file.relative_to(root).as_posix(): _text(file, where) for where, file in named.items()}
    size = sum(len(text.encode()) for text in texts.values())
    if size > MOST_BYTES:
        largest = sorted(texts, key=lambda name: -len(texts[name]))[:3]
        problem = f"expected at most {MOST_BYTES:,} bytes with all that it refers to, got {size:,}; the largest: "
        raise ScenarioErrors([ScenarioError(f"{path}: {problem}{', '.join(largest)}")])
    found = Bundle(_absolute(path).relative_to(root).as_posix(), dict(sorted(texts.items())))
    _check_alone(found, named, overrides)
    return found


def _named(path: Path, overrides: Mapping[str, Any]) -> dict[str, Path]:
    """Where each file is named -> the file: the scenario, what it extends, its traces and manifests."""
    first = load_scenario(path, overrides=overrides, allow_python=True)  # read, not run
    found = {str(file): _absolute(file) for file in first.files}
    for variant in (None, *first.scenario.variants):
        loaded = (
            first if variant is None else load_scenario(path, variant=variant, overrides=overrides, allow_python=True)
        )
        found |= dict(_references(loaded))
    return found


def _references(loaded: Loaded) -> Iterator[tuple[str, Path]]:
    traffic = loaded.scenario.traffic
    if traffic.kind == "trace":
        yield _where(loaded, ("traffic", "file")), _absolute(Path(traffic.file))
    strategies = loaded.root.child("strategies")
    words = strategies.plain() if strategies is not None else {}
    for name, entry in words.items():
        at = ("strategies", name)
        if "python" in entry:
            problem = "code of yours is not in the image that runs drills: a strategy of it cannot be scheduled"
            place = loaded.place((*at, "python"))
            raise ScenarioErrors([ScenarioError(problem, field=f"strategies.{name}.python", place=place)])
        if "from" in entry:
            yield _where(loaded, (*at, "from")), _absolute(loaded.folder((*at, "from")) / entry["from"])
        for number, each in enumerate(entry.get("templates", ())):
            here = (*at, "templates", number)
            yield _where(loaded, here), _absolute(loaded.folder((*at, "templates")) / each)


def _where(loaded: Loaded, at: tuple[Key, ...]) -> str:
    """A place as an error names it; a file that only the command line names would not be found in the cluster."""
    place = loaded.place(at)
    field = ".".join(map(str, at))
    if not place.line:
        raise ScenarioErrors([ScenarioError("expected no file here: name it in the scenario", field=f"--set {field}")])
    return f"{place} {field}"


def _absolute(path: Path) -> Path:
    """Without `..`, and without following links: relative names must go on working."""
    return Path(os.path.abspath(path))


def _text(file: Path, where: str) -> str:
    try:
        return read_bytes(file, limit=MOST_BYTES, what="file").decode("utf-8")
    except ScenarioError as error:
        raise ScenarioErrors([ScenarioError(f"{where}: {error.problem} ({file})")]) from None
    except UnicodeDecodeError:
        raise ScenarioErrors([ScenarioError(f"{where}: expected UTF-8 text ({file})")]) from None


def _check_alone(found: Bundle, named: Mapping[str, Path], overrides: Mapping[str, Any]) -> None:
    """The files name nothing but each other: read them again in a folder where there is nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in found.files.items():
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="")
        copied = _named(Path(folder, found.scenario), overrides)
        for (where, file), copy in zip(named.items(), copied.values(), strict=True):
            if not copy.is_relative_to(folder):
                problem = f"{where}: expected a name relative to the file, which holds in a cluster too, got {file}"
                raise ScenarioErrors([ScenarioError(problem)])
