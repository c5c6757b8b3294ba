"""The words of a query with their places; the parser keeps none, so errors find theirs here."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.numbers import go_float
from strategies.metrics.promql.tree import Place

MAX_LENGTH: Final = 10_000
MAX_BRACKETS: Final = 100  #: one inside the other
_BLANK: Final = re.compile(r"\{\{[^{}]*\}\}")  #: what a template leaves to be filled in
SHORTEST_SECONDS: Final = 0.001  #: Prometheus counts milliseconds
LONGEST_SECONDS: Final = 1e9
MAX_NODES: Final = 500  #: operators and brackets together; the parser's stack ends at some thousands

_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+|\w*))
      | (?P<word>(?:[a-zA-Z_]|:[a-zA-Z_:])[\w:]*)
      | (?P<open>[(\[{]) | (?P<close>[)\]}])
      | (?P<op>==|!=|<=|>=|=~|!~|[-+*/%^<>=!@,:])
      | (?P<other>.)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEYWORDS: Final = _LISTS | {"bool", "offset", "and", "or", "unless", "atan2", "inf", "nan"}
_BINARY: Final = frozenset(
    {"+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless", "atan2"}
)


class Token(NamedTuple):
    """A word, string, number, bracket or operator."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The tokens of a query, without blanks and comments.

    Raises:
        PromqlError: the text is too long.
    """
    if len(text) > MAX_LENGTH:
        raise PromqlError(f"the query is longer than {MAX_LENGTH} characters", MAX_LENGTH, len(text))
    return [
        Token(match.lastgroup or "other", match[0], match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "skip"
    ]


def readable(text: str) -> str:
    r"""The text as the parser is to get it: it checks the escapes of raw strings, where Prometheus knows none.

    >>> readable(r"up{job=~`a\d`}")
    'up{job=~"a\\\\d"}'
    """
    if "`" not in text:
        return text
    return "".join(_quoted(match[0]) if match[0][0] == "`" else match[0] for match in _TOKEN.finditer(text))


def _quoted(raw: str) -> str:
    """A raw string between quotes; a lone backtick as it is."""
    if len(raw) == 1:
        return raw
    inside = raw[1:-1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'


def check(found: Sequence[Token]) -> None:
    """Refuse what the parser would break on: it runs out of stack, and panics at durations that are too long.

    Raises:
        PromqlError: brackets too deep, too many operators, a duration or a time out of bounds, or a string with a
            placeholder that nobody filled in: it would be taken for the value of a label.
    """
    for token in found:
        blank = _BLANK.search(token.text) if token.kind == "string" else None
        if blank is not None:
            place = token.start + blank.start(), token.start + blank.end()
            raise PromqlError(f"{blank[0]} is not filled in", *place)
    depth = nodes = 0
    for token in found:
        depth += (token.kind == "open") - (token.kind == "close")
        nodes += token.kind == "open" or token.text.lower() in _BINARY
        if depth > MAX_BRACKETS:
            raise PromqlError(f"brackets nested deeper than {MAX_BRACKETS}", token.start, token.end)
        if nodes > MAX_NODES:
            raise PromqlError(f"more than {MAX_NODES} operators and brackets", token.start, token.end)
    for token, following in pairwise(found):
        if token.text == "@" and following.text == "-":
            raise PromqlError("a time before 1970 after @ is not supported", token.start, following.end)
    for token in _durations(found):
        seconds = go_float(token.text)
        if seconds is not None and not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
            raise PromqlError(f"a duration of {seconds:g} seconds is out of bounds", token.start, token.end)


def _durations(found: Sequence[Token]) -> Iterator[Token]:
    """What stands where a duration may: inside square brackets, and after `offset` and its sign."""
    inside = after = False
    for token in found:
        inside = (inside or token.text == "[") and token.text != "]"
        if inside or (after and token.text not in ("+", "-")):
            yield token
        after = token.text.lower() == "offset" or (after and token.text in ("+", "-"))


class Cursor:
    """Hands out the places of nodes, which are asked for in the order of the text."""

    def __init__(self, text: str, found: Sequence[Token]) -> None:
        self.whole = Place(0, len(text))
        self._calls: dict[str, deque[Place]] = {}
        self._operators: dict[str, deque[Place]] = {}
        self._selectors: deque[Place] = deque()
        self._read(found)

    def call(self, name: str) -> Place:
        """The next use of a function or an aggregation."""
        return self._next(self._calls, name)

    def operator(self, op: str) -> Place:
        """The next use of a binary operator."""
        return self._next(self._operators, op)

    def selector(self) -> Place:
        """The next selector: its name and its braces."""
        return self._selectors.popleft() if self._selectors else self.whole

    def _next(self, places: dict[str, deque[Place]], key: str) -> Place:
        queue = places.get(key.lower())
        return queue.popleft() if queue else self.whole

    def _read(self, found: Sequence[Token]) -> None:
        lists = _list_ends(found)
        braces = inside = 0
        for number, token in enumerate(found):
            before = found[number - 1] if number else None
            after = found[number + 1] if number + 1 < len(found) else None
            place, word = Place(token.start, token.end), token.text.lower()
            if braces or inside:
                braces += (token.text == "{") - (token.text == "}")
                inside += (token.text == "(") - (token.text == ")")
            elif token.text == "{":
                braces = 1
                end = next((later.end for later in found[number:] if later.text == "}"), token.end)
                if before is not None and before.kind == "word" and before.text.lower() not in _KEYWORDS:
                    self._selectors[-1] = Place(self._selectors[-1].start, end)
                else:
                    self._selectors.append(Place(token.start, end))
            elif word in _BINARY:
                if _is_binary(found, number, lists):
                    self._operators.setdefault(word, deque()).append(place)
            elif token.kind == "word" and word in _LISTS:
                pass
            elif token.text == "(" and before is not None and before.text.lower() in _LISTS:
                inside = 1
            elif token.kind == "word" and after is not None and (after.text == "(" or after.text.lower() in _LISTS):
                if after.text == "(" or word not in _KEYWORDS:
                    self._calls.setdefault(word, deque()).append(place)
            elif token.kind == "word" and word not in _KEYWORDS:
                self._selectors.append(place)


def _list_ends(found: Sequence[Token]) -> frozenset[int]:
    """Numbers of the brackets that close a list of labels of `on`, `ignoring`, `group_left` or `group_right`."""
    ends: set[int] = set()
    opened: list[bool] = []
    for number, token in enumerate(found):
        if token.text == "(":
            word = found[number - 1].text.lower() if number else ""
            opened.append(word in _LISTS and word not in ("by", "without"))
        elif token.text == ")" and opened and opened.pop():
            ends.add(number)
    return frozenset(ends)


def _is_binary(found: Sequence[Token], number: int, lists: frozenset[int]) -> bool:
    """Whether a sign stands between two operands, or before one."""
    if found[number].text not in "+-" or number == 0:
        return number > 0
    before = found[number - 1]
    if before.kind == "close":
        return number - 1 not in lists
    if before.kind == "word":
        return before.text.lower() not in _KEYWORDS - {"inf", "nan"}
    return before.kind in ("number", "string")
