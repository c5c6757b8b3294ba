"""From a path to a scenario: read, `extends`, variant, overrides, presets, schema; all errors together."""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scenarios.assumed import assumed
from scenarios.check import validated
from scenarios.cross_check import cross_errors, warnings_of
from scenarios.errors import Place, ScenarioError, ScenarioErrors, pick, raise_all, shown
from scenarios.merge import merge, override, replaced
from scenarios.presets import expanded, named
from scenarios.schema import MAX_VARIANTS, Scenario
from scenarios.yaml_nodes import Key, Node, parse, read_bytes

MAX_EXTENDS: Final = 8  #: files in one chain of `extends`


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A scenario, where it comes from, and what was assumed for it."""

    scenario: Scenario
    path: Path
    variant: str | None
    digest: str  #: sha256 of the file; of the files one after the other, base first, when it extends others
    files: tuple[Path, ...]  #: all files read, base first
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]
    root: Node = field(repr=False, compare=False)  #: the merged file

    def where(self, path: Iterable[Key] = ()) -> str:
        """`file:line:col` of the value at a path such as `("strategies", "canary", "canary", "steps", 0)`.

        A path that the file does not have gives the place of the last part that it has; a value that came through
        `extends`, a preset or an override gives the place where it really stands.
        """
        return str(self.place(path))

    def place(self, path: Iterable[Key] = ()) -> Place:
        """The same as `where`, as file, line and column."""
        return self.root.nearest(path)[0].place

    def folder(self, path: Iterable[Key] = ()) -> Path:
        """The folder of the file in which the value at a path stands: relative file names in it start there."""
        place = self.place(path)
        return Path(place.file).parent if place.line else self.path.parent


def load_scenario(
    path: str | Path,
    *,
    variant: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_python: bool = False,
) -> Loaded:
    """Read one scenario file.

    Args:
        path: the file; names in errors are relative to what is given here.
        variant: name of one of the file's variants; None is the file as it stands.
        overrides: `{"service.replicas": 20, "faults": []}`, laid over file and variant; text values are read as YAML.
        allow_python: accept strategies that name Python code to run.

    Returns:
        The scenario, with the place of every value. Strategies stay as they stand in the file.

    Raises:
        ScenarioErrors: everything wrong with the file and with its other variants, each with its place.
    """
    path = Path(path)
    source, files, digest = _chain(path)
    errors: list[ScenarioError] = []
    cell = _cell(source, path, variant, overrides or {}, errors)
    scenario, preset, root = _checked(cell, errors, allow_python=allow_python)
    for name in list(_variants(source))[:MAX_VARIANTS]:  # more of them are an error of the schema
        if name != variant:
            _checked(merge(source, _variants(source)[name]), errors, allow_python=allow_python)
    raise_all(_once(errors))
    assert scenario is not None
    return Loaded(
        scenario=scenario,
        path=path,
        variant=variant,
        digest=digest,
        files=files,
        assumed=assumed(scenario, preset),
        warnings=warnings_of(scenario, root),
        root=root,
    )


def _chain(path: Path) -> tuple[Node, tuple[Path, ...], str]:
    """The file with all that it extends laid under it, the files (base first), and their digest."""
    layers: list[tuple[Path, Node]] = []
    contents: list[bytes] = []
    seen: list[Path] = []
    here, at = path, None
    while True:
        if (real := Path(os.path.realpath(here))) in seen:
            names = " -> ".join(str(name) for name in (*(layer for layer, _ in layers), here))
            raise ScenarioErrors([ScenarioError(f"cyclic extends: {names}", field="extends", place=at)])
        if len(layers) >= MAX_EXTENDS:
            problem = f"expected at most {MAX_EXTENDS} files that extend each other, got more"
            raise ScenarioErrors([ScenarioError(problem, field="extends", place=at)])
        data, root = _read(here, at)
        layers.append((here, root))
        contents.append(data)
        seen.append(real)
        base = root.child("extends")
        if base is None:
            break
        here, at = _target(here, base), base.place
    merged = layers[-1][1]
    for _, layer in reversed(layers[:-1]):
        merged = merge(merged, layer)
    assert isinstance(merged.value, dict)
    plain = {name: node for name, node in merged.value.items() if name != "extends"}
    digest = hashlib.sha256(b"".join(reversed(contents))).hexdigest()
    return Node(plain, merged.place, merged.key_place), tuple(name for name, _ in reversed(layers)), digest


def _read(path: Path, named_at: Place | None) -> tuple[bytes, Node]:
    """The bytes and the tree of one file; when a file named it, a missing one is that file's error."""
    try:
        data = read_bytes(path)
    except ScenarioError as error:
        if named_at is None:
            raise ScenarioErrors([error]) from None
        problem = f"{error.problem} ({path})"
        raise ScenarioErrors([ScenarioError(problem, field="extends", place=named_at)]) from None
    try:
        root = parse(data, str(path))
        if not isinstance(root.value, dict):
            raise ScenarioError("expected a mapping, got " + shown(root.plain()), place=root.place)
    except ScenarioErrors:
        raise
    except ScenarioError as error:
        raise ScenarioErrors([error]) from None
    return data, named(root)


def _target(path: Path, base: Node) -> Path:
    """The file that an `extends` names, relative to the file in which it stands."""
    name = base.value
    if not isinstance(name, str) or not name.endswith((".yaml", ".yml")) or os.path.isabs(name):
        what = "the relative name of a .yaml file"
        raise ScenarioErrors([ScenarioError(expected=what, got=base.plain(), field="extends", place=base.place)])
    return Path(os.path.normpath(path.parent / name))


def _variants(source: Node) -> dict[str, Node]:
    """The variants of a file that are mappings; what else stands there is the schema's to refuse."""
    variants = source.child("variants")
    if variants is None or not isinstance(variants.value, dict):
        return {}
    return {name: node for name, node in variants.value.items() if isinstance(node.value, dict)}


def _cell(
    source: Node, path: Path, variant: str | None, overrides: Mapping[str, Any], errors: list[ScenarioError]
) -> Node:
    """The file with its variant and the overrides laid over it."""
    try:
        if variant is not None:
            source = merge(source, pick(variant, _variants(source), field="variant", place=Place(str(path))))
        for name, value in overrides.items():
            source = named(override(source, name, value))
    except ScenarioError as error:
        errors.append(error)
    return source


def _checked(
    cell: Node, errors: list[ScenarioError], *, allow_python: bool
) -> tuple[Scenario | None, str | None, Node]:
    """The scenario of one cell (None when anything is wrong), its service preset, and its tree."""
    here: list[ScenarioError] = []
    root, preset = expanded(cell, here)
    root = _with_trace(root, here)
    scenario, found = validated(root)
    here += found
    here += cross_errors(root, scenario, allow_python=allow_python)
    errors += sorted(here, key=lambda error: (error.file != root.place.file, error.file, error.line, error.column))
    return (None if here else scenario), preset, root


def _with_trace(root: Node, errors: list[ScenarioError]) -> Node:
    """The tree with the file of a trace as an absolute path."""
    node, steps = root.nearest(("traffic", "file"))
    if steps < 2 or not isinstance(node.value, str):
        return root
    folder = Path(node.place.file).parent if node.place.line else Path()
    path = Path(os.path.abspath(folder / node.value))
    if not path.is_file():
        why = "is not a regular file" if os.path.exists(path) else "does not exist"
        problem = f"expected a CSV file, got {shown(node.value)}, which {why}"
        errors.append(ScenarioError(problem, field="traffic.file", place=node.place, got=node.value))
    return replaced(root, ("traffic", "file"), Node(str(path), node.place, node.key_place))


def _once(errors: list[ScenarioError]) -> list[ScenarioError]:
    """Each error once, though several variants share the part that is wrong."""
    seen = {(error.place, error.field, error.problem): error for error in reversed(errors)}
    return list(reversed(seen.values()))
