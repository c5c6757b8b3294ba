"""Kubernetes manifests as nodes that know where they stand: several documents a file, scalars as Kubernetes reads.

Kubernetes reads YAML 1.1: `yes`, `no`, `on` and `off` are truth values, `010` is eight. Size, depth, aliases and tags
are bounded as for scenario files (`scenarios.yaml_nodes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent

from scenarios import yaml_nodes
from scenarios.errors import Place, ScenarioError, ScenarioErrors
from scenarios.yaml_nodes import Node, Scalar, read_bytes

MAX_DOCUMENTS: Final = 200

_BOOLEANS: Final = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_OCTAL = re.compile(r"([-+]?)0([0-7]+)")


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a manifest."""

    kind: str
    name: str
    node: Node

    @property
    def place(self) -> Place:
        """Where its kind stands."""
        kind = self.node.child("kind")
        return kind.place if kind else self.node.place


def scalar(text: str) -> Scalar:
    """A plain scalar by YAML 1.1, without its dates and numbers to the base 60.

    >>> scalar("yes"), scalar("Off"), scalar("010"), scalar("10"), scalar("1_000"), scalar("5m")
    (True, False, 8, 10, 1000, '5m')
    """
    if text in (text.lower(), text.upper(), text.capitalize()) and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    found = _OCTAL.fullmatch(text)
    if found and len(text) < 100:
        return int(f"{found[1]}{found[2]}", 8)
    if re.fullmatch(r"[-+]?[1-9][0-9_]*", text) and "_" in text:
        return yaml_nodes.scalar(text.replace("_", ""))
    return yaml_nodes.scalar(text)


class _Builder(yaml_nodes._Builder):
    """The tree builder of scenario files with the scalars of YAML 1.1."""

    def _scalar(self, event: Any) -> None:
        super()._scalar(event)
        if not event.implicit[0]:
            return
        # The value that was just put is the last one; keys stay texts.
        last = self._last_put
        if last is not None:
            last.value = scalar(event.value)

    _last_put: Node | None = None

    def _put(self, node: Node) -> None:
        super()._put(node)
        self._last_put = node

    def take(self, event: Any) -> None:
        self._last_put = None
        super().take(event)


def read_documents(path: Path) -> list[Document]:
    """All objects of a manifest file, those inside a `kind: List` too; empty documents are left out.

    Raises:
        ScenarioError: not a readable file, not YAML, or an object without `kind`.
    """
    return parse_documents(read_bytes(path, what="manifest"), str(path))


def parse_documents(data: bytes | str, file: str) -> list[Document]:
    """All objects of a manifest; see `read_documents`."""
    errors: list[ScenarioError] = []
    found: list[Document] = []
    for root in _roots(data, file, errors):
        if root.value is not None:
            found.extend(_objects(root, errors))
    if errors:
        raise ScenarioErrors(errors)
    return found


def _objects(root: Node, errors: list[ScenarioError]) -> Iterator[Document]:
    kind = root.child("kind")
    if not isinstance(root.value, dict):
        errors.append(ScenarioError(expected="a Kubernetes object with a kind", got=root.plain(), place=root.place))
        return
    if kind is None or not isinstance(kind.value, str):
        got = "nothing" if kind is None else None
        problem = f"expected the kind of a Kubernetes object, got {got or type(kind.value if kind else None).__name__}"
        errors.append(ScenarioError(problem, field="kind", place=kind.place if kind else root.place))
        return
    items = root.child("items")
    if kind.value == "List" and items is not None and isinstance(items.value, list):
        for item in items.value:
            yield from _objects(item, errors)
        return
    node, steps = root.nearest(("metadata", "name"))
    yield Document(kind.value, str(node.value) if steps == 2 else "", root)


def _roots(data: bytes | str, file: str, errors: list[ScenarioError]) -> Iterator[Node]:
    """The tree of each document; a document that breaks the rules ends the file."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        yaml = YAML(typ="safe", pure=True)
        yaml.version = (1, 1)
        builder: _Builder | None = None
        count = 0
        for event in yaml.parse(text):
            if isinstance(event, DocumentStartEvent):
                builder, count = _Builder(file), count + 1
                if count > MAX_DOCUMENTS:
                    raise ScenarioError(f"expected at most {MAX_DOCUMENTS} YAML documents, got more", place=Place(file))
            if builder is None:
                continue
            builder.take(event)
            if isinstance(event, DocumentEndEvent):
                errors.extend(builder.errors)
                if builder.root is not None:
                    yield builder.root
                builder = None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScenarioError("expected UTF-8 text", place=Place(file, line, 1)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        problem = " ".join((error.problem or error.context or "cannot be read").split())
        raise ScenarioError(f"not YAML: {problem}", place=place) from None
    except YAMLError as error:
        raise ScenarioError(f"not YAML: {' '.join(str(error).split())}", place=Place(file)) from None
