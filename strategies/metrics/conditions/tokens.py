"""The words of a condition: numbers, strings, names and operators, each with the place where it stands."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

MAX_LENGTH: Final = 1000  #: characters of one condition

Kind: TypeAlias = Literal["number", "string", "name", "operator", "end"]

#: words that are operators and cannot be names
WORDS: Final = frozenset(
    ("not", "in", "and", "or", "matches", "contains", "startsWith", "endsWith", "let", "if", "else")
)
_ESCAPES: Final = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
    |(?P<operator>\#|\?\?|\?\.|\?|\.\.|\.|&&|\|\||\*\*|==|!=|<=|>=|::|[-+*/%^!<>|:,;()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)


class ConditionError(ValueError):
    """A condition that cannot be read, or that has no answer for a result.

    Attributes:
        problem: what is wrong.
        start, end: the characters of the text that it is about.
    """

    def __init__(self, problem: str, start: int = 0, end: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.start = start
        self.end = max(end, start + 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Token:
    """One word: what it says, and where."""

    kind: Kind
    text: str
    start: int
    end: int
    value: Any = None  #: of a number or a string


def tokens(text: str) -> list[Token]:
    """All words of a condition, and an `end`; ConditionError for what cannot be one.

    >>> [token.text for token in tokens("result[0] >= 0.95")]
    ['result', '[', '0', ']', '>=', '0.95', '']
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"expected a condition of at most {MAX_LENGTH} characters, got {len(text)}", 0, len(text))
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            quote = text[place] in "\"'`"
            hint = f"; did you mean {text[place] * 2!r}?" if text[place] in "=&" else ""
            problem = "a string that does not end" if quote else f"unexpected character {text[place]!r}{hint}"
            raise ConditionError(problem, place, len(text) if quote else place + 1)
        place = match.end()
        if match.lastgroup != "space":
            found.append(_token(match, text))
    found.append(Token("end", "", len(text), len(text)))
    return found


def _token(match: re.Match[str], text: str) -> Token:
    kind, word, start, end = match.lastgroup, match[0], match.start(), match.end()
    if kind == "number":
        if text[end : end + 1].isalnum():
            raise ConditionError(f"expected a number, got {word + text[end]!r}", start, end + 1)
        return Token("number", word, start, end, _number(word, start, end))
    if kind == "string":
        return Token("string", word, start, end, _string(word, start, end))
    if kind == "name" and word not in WORDS:
        return Token("name", word, start, end)
    return Token("operator", word, start, end)


def _number(word: str, start: int, end: int) -> int | float:
    digits = word.replace("_", "")
    try:
        value = int(digits, 0) if digits[:2].lower() in ("0x", "0o", "0b") else int(digits)
    except ValueError:
        try:
            number = float(digits)
        except ValueError:
            raise ConditionError(f"expected a number, got {word!r}", start, end) from None
        if math.isinf(number):
            raise ConditionError("expected a number below 1.8e308", start, end) from None
        return number
    if value >= 1 << 63:
        raise ConditionError("expected a whole number below 2^63", start, end)
    return value


def _string(word: str, start: int, end: int) -> str:
    inside = word[1:-1]
    if word[0] == "`" or "\\" not in inside:
        return inside

    def plain(match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] in "ux" and len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            raise ConditionError(f"unknown escape {match[0]!r}", start, end)
        return _ESCAPES[escape]

    return _ESCAPE.sub(plain, inside)
