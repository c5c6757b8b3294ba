"""A query as plain data: what `parse` makes of the text and `evaluate` walks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from strategies.metrics.series import Matcher

Kind: TypeAlias = Literal["scalar", "vector", "matrix", "string"]
At: TypeAlias = int | Literal["start", "end"] | None  #: of an `@` modifier, in milliseconds


class Place(NamedTuple):
    """Where a node stands in the text, for the caret of an error."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


@dataclass(frozen=True, slots=True)
class Select:
    """An instant selector; the time it looks at is that of `@` or of the evaluation, less the offset."""

    matchers: tuple[Matcher, ...]
    offset_ms: int
    at: At
    place: Place


@dataclass(frozen=True, slots=True)
class Range:
    """A range selector."""

    select: Select
    range_ms: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated at every step of a range; steps are multiples of the step since time 0."""

    node: Node
    range_ms: int
    step_ms: int
    offset_ms: int
    at: At
    place: Place


@dataclass(frozen=True, slots=True)
class Call:
    """A function of arguments."""

    name: str
    args: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Series put together by groups."""

    op: str
    node: Node
    param: Node | None
    labels: tuple[str, ...]
    without: bool  #: the groups are by all labels but these (and but the name)
    place: Place


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of a binary operator find each other."""

    labels: tuple[str, ...]
    on: bool  #: only these labels count; else all but these (and but the name)
    many: Literal["neither", "left", "right"] = "neither"  #: the side that may have several series for one of the other
    include: tuple[str, ...] = ()  #: labels that the result takes from the side of one


@dataclass(frozen=True, slots=True)
class Binary:
    """Two sides and an operator."""

    op: str
    left: Node
    right: Node
    as_bool: bool
    matching: Matching
    place: Place


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    node: Node
    place: Place


Node: TypeAlias = Number | Text | Select | Range | Subquery | Call | Aggregate | Binary | Negate


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query."""

    text: str
    root: Node
    kind: Kind


def children(node: Node) -> tuple[Node, ...]:
    """What a node is made of, in the order of the text."""
    if isinstance(node, Range):
        return (node.select,)
    if isinstance(node, Subquery | Negate):
        return (node.node,)
    if isinstance(node, Call):
        return node.args
    if isinstance(node, Aggregate):
        return (node.node,) if node.param is None else (node.param, node.node)
    if isinstance(node, Binary):
        return (node.left, node.right)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)
