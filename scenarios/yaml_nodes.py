"""YAML 1.2 text as nodes that know where they stand.

Files are untrusted. One pass over the parser's events builds the tree with its own stack, so depth, size and alias
expansion are bounded before anything is built; scalars follow the YAML 1.2 core schema and nothing else (no tags, no
objects, no dates: `on` and `no` are texts).
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from scenarios.errors import Place, ScenarioError, ScenarioErrors

MAX_BYTES: Final = 1 << 20  #: of one file
MAX_DEPTH: Final = 40
MAX_NODES: Final = 50_000  #: of one file, aliases counted as often as they are used

Scalar: TypeAlias = str | int | float | bool | None
Key: TypeAlias = str | int

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_WORDS: Final[dict[str, Scalar]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip


@dataclass(slots=True)
class Node:
    """A value of a YAML file and where it stands. Treated as unchangeable: merging makes new nodes."""

    value: dict[str, Node] | list[Node] | Scalar
    place: Place  #: of the value; of its key where it is a mapping or a list under a key
    key_place: Place  #: of the key, or of the value where there is no key
    size: int = 1  #: nodes inside, this one included

    def plain(self) -> Any:
        """The value without places: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, key: Key) -> Node | None:
        """The node under a key or at a position, or None."""
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def nearest(self, path: Iterable[Key]) -> tuple[Node, int]:
        """The node at a path, or the last that exists on the way, with the number of steps that were possible."""
        node, steps = self, 0
        for key in path:
            below = node.child(key)
            if below is None:
                break
            node, steps = below, steps + 1
        return node, steps


def scalar(text: str) -> Scalar:
    """A plain scalar by the YAML 1.2 core schema.

    >>> scalar("10"), scalar("1e3"), scalar("no"), scalar("true"), scalar("0x1f"), scalar("5%")
    (10, 1000.0, 'no', True, 31, '5%')
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) <= 300 else float("inf")
    if text[:2] in ("0x", "0o") and re.fullmatch(r"0x[0-9a-fA-F]{1,64}|0o[0-7]{1,64}", text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INF.fullmatch(text):
        return float("-inf" if text[0] == "-" else "inf")
    return text


def from_plain(value: Any, place: Place) -> Node:
    """A node of Python values that all stand at one place (an override of the command line)."""
    if isinstance(value, dict):
        below = {str(name): from_plain(item, place) for name, item in value.items()}
        return Node(below, place, place, 1 + sum(node.size for node in below.values()))
    if isinstance(value, list | tuple):
        items = [from_plain(item, place) for item in value]
        return Node(items, place, place, 1 + sum(node.size for node in items))
    return Node(value, place, place)


def read_bytes(path: Path, *, limit: int = MAX_BYTES, what: str = "scenario file") -> bytes:
    """The bytes of a regular file of bounded size.

    Raises:
        ScenarioError: no such file, not a regular file, not readable, or longer than `limit`.
    """
    place = Place(str(path))
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "something that is not a regular file"
            raise ScenarioError(f"expected a {what}, got {kind}", place=place)
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ScenarioError(f"expected a {what}: {(error.strerror or str(error)).lower()}", place=place) from None
    except ValueError:  # a NUL in the name
        raise ScenarioError(f"expected a {what}, got a name that cannot be one", place=Place(repr(str(path)))) from None
    if len(data) > limit:
        raise ScenarioError(f"expected a {what} of at most {limit >> 10} KiB, got more", place=place)
    return data


def parse(data: bytes | str, file: str) -> Node:
    """The tree of one YAML document.

    Args:
        data: the text, UTF-8.
        file: its name in errors.

    Raises:
        ScenarioError: not UTF-8, not YAML, several documents, a tag, duplicate keys (all of them are reported), or
            beyond the bounds of this module.
    """
    builder = _Builder(file)
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        events = YAML(typ="safe", pure=True).parse(text)
        for event in events:
            builder.take(event)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScenarioError("expected UTF-8 text", place=Place(file, line, 1)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise ScenarioError(f"not YAML: {_one_line(error.problem or error.context)}", place=place) from None
    except YAMLError as error:
        raise ScenarioError(f"not YAML: {_one_line(str(error))}", place=Place(file)) from None
    if builder.errors:
        raise ScenarioErrors(builder.errors)
    if builder.root is None:
        raise ScenarioError("expected a mapping, got an empty file", place=Place(file))
    return builder.root


def _one_line(text: str | None) -> str:
    return " ".join((text or "cannot be read").split())


def _whole_text(text: str, place: Place) -> str:
    """A text without surrogates: escaped pairs, as JSON writes them, are one character; a half is an error."""
    if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ScenarioError("expected text, got half of a surrogate pair", place=place) from None


@dataclass(slots=True)
class _Open:
    """A mapping or list that has begun."""

    node: Node
    anchor: str | None
    key: str | None = None
    key_place: Place | None = None
    merged: dict[str, Node] = field(default_factory=dict)


class _Builder:
    """Takes events in order and builds the tree, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.errors: list[ScenarioError] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._total = 0

    def take(self, event: Any) -> None:
        """Use one event of the parser."""
        match event:
            case ScalarEvent():
                self._scalar(event)
            case AliasEvent():
                self._alias(event)
            case MappingStartEvent() | SequenceStartEvent():
                self._begin(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._end()
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise ScenarioError("expected one YAML document, got several", place=self._place(event))

    def _place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _wants_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].node.value, dict) and self._stack[-1].key is None

    def _count(self, size: int, place: Place) -> None:
        self._total += size
        if self._total > MAX_NODES:
            raise ScenarioError(f"expected at most {MAX_NODES} values (aliases expanded), got more", place=place)

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            raise ScenarioError(f"expected plain YAML, got the tag {event.tag}", place=self._place(event))

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        place = self._place(event)
        text = _whole_text(event.value, place)
        if self._wants_key():
            self._stack[-1].key, self._stack[-1].key_place = text, place
            return
        value = scalar(text) if event.implicit[0] else text
        node = Node(value, place, place)
        self._count(1, place)
        self._anchor(event.anchor, node)
        self._put(node)

    def _alias(self, event: Any) -> None:
        place = self._place(event)
        if self._wants_key():
            raise ScenarioError("expected a name as key, got an alias", place=place)
        node = self._anchors.get(event.anchor)
        if node is None:
            raise ScenarioError(f"expected an alias of a finished value, got *{event.anchor}", place=place)
        self._count(node.size, place)
        self._put(Node(node.value, node.place, node.key_place, node.size))

    def _begin(self, event: Any) -> None:
        self._refuse_tag(event)
        place = self._place(event)
        if self._wants_key():
            raise ScenarioError("expected a name as key, got a mapping or list", place=place)
        if len(self._stack) >= MAX_DEPTH:
            raise ScenarioError(f"expected at most {MAX_DEPTH} levels of nesting, got more", place=place)
        self._count(1, place)
        value: dict[str, Node] | list[Node] = {} if isinstance(event, MappingStartEvent) else []
        self._stack.append(_Open(Node(value, place, place), event.anchor))

    def _end(self) -> None:
        ended = self._stack.pop()
        node = ended.node
        if isinstance(node.value, dict):
            for name, below in ended.merged.items():
                node.value.setdefault(name, below)
            node.size = 1 + sum(below.size for below in node.value.values())
        elif isinstance(node.value, list):
            node.size = 1 + sum(below.size for below in node.value)
        self._anchor(ended.anchor, node)
        self._put(node)

    def _anchor(self, name: str | None, node: Node) -> None:
        if name is not None:
            self._anchors[name] = node

    def _put(self, node: Node) -> None:
        """Give a finished value to the mapping or list that is open, or make it the root."""
        if not self._stack:
            self.root = node
            return
        above = self._stack[-1]
        if isinstance(above.node.value, list):
            above.node.value.append(node)
            return
        assert isinstance(above.node.value, dict)
        assert above.key is not None
        assert above.key_place is not None
        key, key_place, above.key = above.key, above.key_place, None
        node.key_place = key_place
        if isinstance(node.value, dict | list) or node.value is None:
            node.place = key_place  # an empty value has no place of its own
        if key == "<<":
            self._merge(above, node)
        elif key in above.node.value:
            first = above.node.value[key].key_place
            problem = f"duplicate key {key!r}, first given in line {first.line}"
            self.errors.append(ScenarioError(problem, field=key, place=key_place))
        else:
            above.node.value[key] = node

    def _merge(self, above: _Open, node: Node) -> None:
        """`<<: *defaults`: fields that this mapping does not give itself."""
        parts = node.value if isinstance(node.value, list) else [node]
        for part in parts:
            if not isinstance(part.value, dict):
                raise ScenarioError("expected a mapping or a list of mappings after <<", place=node.key_place)
            for name, below in part.value.items():
                above.merged.setdefault(name, below)
