"""The place of what the parser complains of; its messages say what is wrong, not where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import promql_parser as grammar

from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.tokens import Token, readable

_SYNTAX: Final = "invalid promql query"
_BLANK: Final = re.compile(r"\{\{[^{}]*\}\}|\$\{\w+\}|\$\w+", re.ASCII)  #: what a template leaves to be filled in
_PAIR: Final = {"(": ")", "[": "]", "{": "}"}
_ENDINGS: Final = ("", " foo", " (foo)", " 1", ' "x"', '="x"', "[5m]", " by (x) (foo)", " 5m", " bool foo")


def fault(text: str, found: Sequence[Token], message: str, known: Sequence[str]) -> PromqlError:
    """The error for a text that the parser refused with a message.

    Args:
        text: the query.
        found: its tokens.
        message: what the parser said.
        known: names of functions and aggregations, to suggest one.
    """
    for blank in _BLANK.finditer(text):
        if not any(token.kind == "string" and token.start < blank.start() < token.end for token in found):
            return PromqlError(f"{blank[0]} is not filled in", blank.start(), blank.end())
    unknown = re.search(r"unknown function with name '(.*)'", message)
    if unknown:
        return unknown_function(text, found, unknown[1], known, misspelt=True)
    pattern = re.search(r"illegal regex for (.*)", message, re.DOTALL)
    if pattern:
        start, end = _string(found, pattern[1]) or (0, len(text))
        return PromqlError(f"{pattern[1]!r} is no regular expression", start, end)
    other = next((token for token in found if token.kind == "other"), None)
    if other is not None:
        return PromqlError(message, other.start, other.end)
    if "unclosed" in message or "unexpected end" in message:
        start, end = _unclosed(found) or (len(text), len(text))
        return PromqlError(message, start, end)
    if message == _SYNTAX:
        return _syntax(text, found)
    start, end = _smallest(text, found, message)
    return PromqlError(message, start, end)


def unknown_function(
    text: str, found: Sequence[Token], name: str, known: Sequence[str], *, misspelt: bool = False
) -> PromqlError:
    """The error for a function that this evaluator lacks; `misspelt`: Prometheus has no such function either."""
    start, end = 0, len(text)
    for token, following in pairwise(found):
        if token.text == name and following.text == "(":
            start, end = token.start, token.end
            break
    near = difflib.get_close_matches(name, known, n=1) if misspelt else []
    hint = f" did you mean {near[0]!r}?" if near else ""
    return PromqlError(f"function {name!r} is not supported;{hint} known: {', '.join(sorted(known))}", start, end)


def _string(found: Sequence[Token], value: str) -> tuple[int, int] | None:
    for token in found:
        if token.kind == "string" and token.text[1:-1].replace("\\\\", "\\") == value:
            return token.start, token.end
    return None


def _unclosed(found: Sequence[Token]) -> tuple[int, int] | None:
    """The innermost bracket that nothing closes."""
    opened: list[Token] = []
    for token in found:
        if token.kind == "open":
            opened.append(token)
        elif opened and token.text == _PAIR[opened[-1].text]:
            opened.pop()
    return (opened[-1].start, opened[-1].end) if opened else None


def _says(text: str) -> str:
    """What the parser says of a text; nothing when it reads it."""
    try:
        grammar.parse(readable(text))
    except ValueError as error:
        return str(error)
    return ""


def _syntax(text: str, found: Sequence[Token]) -> PromqlError:
    """The first token that no continuation makes sense of, found by halving."""
    low, high = 0, len(found)
    while low < high:
        middle = (low + high) // 2
        if _goes_on(text, found[: middle + 1]):
            low = middle + 1
        else:
            high = middle
    if low >= len(found):
        return PromqlError("the query ends where more is expected", len(text), len(text))
    token = found[low]
    return PromqlError(f"unexpected {token.text!r}", token.start, token.end)


def _goes_on(text: str, part: Sequence[Token]) -> bool:
    """Whether the tokens could be the beginning of a query."""
    start = text[: part[-1].end]
    opened: list[str] = []
    for token in part:
        if token.kind == "open":
            opened.append(_PAIR[token.text])
        elif opened and token.text == opened[-1]:
            opened.pop()
    closing = "".join(reversed(opened))
    after = (" (foo)", " foo") if closing.endswith(")") else ("",)
    return any(_SYNTAX not in _says(start + ending + closing + more) for ending in _ENDINGS for more in ("", *after))


def _smallest(text: str, found: Sequence[Token], message: str) -> tuple[int, int]:
    """The smallest call or bracket that the parser refuses with the same words; else the whole text."""
    spans: list[tuple[int, int]] = []
    opened: list[int] = []
    for number, token in enumerate(found):
        if token.kind == "open":
            opened.append(number)
        elif token.kind == "close" and opened:
            first = opened.pop()
            named = first > 0 and found[first - 1].kind == "word"
            spans.append((found[first - 1 if named else first].start, token.end))
    for start, end in sorted(spans, key=lambda span: span[1] - span[0]):
        if _says(text[start:end]) == message:
            return start, end
    quoted = re.search(r"'([^']+)'", message)
    if quoted:
        for token in found:
            if token.text == quoted[1]:
                return token.start, token.end
    return 0, len(text)
