"""The tree of a regular expression in RE2's syntax."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from strategies.metrics.regex_sets import CONTROL, LAST, PERL, POSIX, Span, outside

MAX_LENGTH: Final = 2_000
MAX_DEPTH: Final = 50
MAX_REPEAT: Final = 1_000  #: RE2's own limit


@dataclass(frozen=True, slots=True)
class Char:
    """One character out of a set."""

    spans: tuple[Span, ...]
    negated: bool = False
    fold: bool = False  #: upper and lower case are the same

    def eats(self, char: str) -> bool:
        """Whether the character is in the set."""
        forms = {char, char.lower(), char.upper()} if self.fold else {char}
        codes = [ord(form) for form in forms if len(form) == 1]
        return any(low <= code <= high for code in codes for low, high in self.spans) is not self.negated


@dataclass(frozen=True, slots=True)
class Assert:
    """A place, not a character: `A` and `z` the ends of the text, `^` and `$` those of a line, `b` and `B` words."""

    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives, each a sequence; a number when the match is remembered."""

    choices: tuple[tuple[Node, ...], ...]
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A node, `least` to `most` times (None: any number)."""

    node: Node
    least: int
    most: int | None
    lazy: bool


Node: TypeAlias = Char | Assert | Group | Repeat


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False  # i
    lines: bool = False  # m
    dot_all: bool = True  # s; Prometheus wraps every pattern in (?s:…)
    lazy: bool = False  # U


def parse(pattern: str) -> tuple[Group, list[tuple[str, int]], int]:
    """Read a pattern.

    Returns:
        the tree, the named groups with their numbers, and the number of groups with the whole match.

    Raises:
        ValueError: what is wrong, in words.
    """
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"regular expression is longer than {MAX_LENGTH} characters")
    parser = _Parser(pattern)
    choices = parser.alternatives(_Flags(), 0)
    if parser.place < len(pattern):
        raise ValueError(f"regular expression {pattern!r}: unexpected ')' at character {parser.place + 1}")
    return Group(choices), parser.names, parser.count


class _Parser:
    """Recursive descent; `place` is the next character."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0
        self.count = 1
        self.names: list[tuple[str, int]] = []

    def _bad(self, problem: str) -> ValueError:
        return ValueError(f"regular expression {self.pattern!r}: {problem}")

    def _next(self, problem: str = "unexpected end") -> str:
        if self.place >= len(self.pattern):
            raise self._bad(problem)
        self.place += 1
        return self.pattern[self.place - 1]

    def _take(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.place)
        self.place += len(text) if found else 0
        return found

    def _until(self, end: str, problem: str) -> str:
        stop = self.pattern.find(end, self.place)
        if stop < 0:
            raise self._bad(problem)
        text, self.place = self.pattern[self.place : stop], stop + len(end)
        return text

    def alternatives(self, flags: _Flags, depth: int) -> tuple[tuple[Node, ...], ...]:
        if depth > MAX_DEPTH:
            raise self._bad(f"nested deeper than {MAX_DEPTH}")
        choices: list[tuple[Node, ...]] = []
        sequence: list[Node] = []
        while self.place < len(self.pattern) and self.pattern[self.place] != ")":
            if self._take("|"):
                choices.append(tuple(sequence))
                sequence = []
            elif not self.pattern.startswith(("(?P<", "(?<"), self.place) and self._take("(?"):
                flags = self._flags(flags, sequence, depth)
            else:
                sequence.extend(self._repeated(self._atoms(flags, depth), flags))
        return (*choices, tuple(sequence))

    def _flags(self, flags: _Flags, sequence: list[Node], depth: int) -> _Flags:
        """After `(?`: flags for the rest of this group, or a group that is not remembered."""
        changed, on = flags, True
        while (char := self._next("missing )")) not in ":)":
            if char == "-" and on:
                on = False
                continue
            name = {"i": "fold", "m": "lines", "s": "dot_all", "U": "lazy"}.get(char)
            if name is None:
                raise self._bad(f"unknown group (?{char}")
            changed = replace(changed, **{name: on})
        if char == ")":
            return changed
        group = Group(self.alternatives(changed, depth + 1))
        self._close()
        sequence.extend(self._repeated([group], flags))
        return flags

    def _close(self) -> None:
        if not self._take(")"):
            raise self._bad("missing )")

    def _atoms(self, flags: _Flags, depth: int) -> list[Node]:
        char = self._next()
        if char == "(":
            return [self._group(flags, depth)]
        if char == "[":
            return [self._class(flags)]
        if char == ".":
            return [Char(() if flags.dot_all else ((10, 10),), negated=True)]
        if char in "^$":
            return [Assert(char if flags.lines else {"^": "A", "$": "z"}[char])]
        if char in "*+?":
            raise self._bad(f"nothing to repeat before {char}")
        if char == "\\":
            return self._escape(flags)
        return [Char(((ord(char), ord(char)),), fold=flags.fold)]

    def _group(self, flags: _Flags, depth: int) -> Group:
        number, self.count = self.count, self.count + 1
        if self._take("?P<") or self._take("?<"):
            name = self._until(">", "missing > of a group's name")
            if not name.replace("_", "a").isalnum() or any(name == other for other, _ in self.names):
                raise self._bad(f"bad group name {name!r}")
            self.names.append((name, number))
        group = Group(self.alternatives(flags, depth + 1), number)
        self._close()
        return group

    def _repeated(self, atoms: list[Node], flags: _Flags) -> list[Node]:
        """What was read, repeated as the characters after it say."""
        if not atoms:
            return []
        *before, node = atoms
        many = False
        while True:
            start = self.place
            bounds = self._bounds()
            if bounds is None:
                return [*before, node]
            if many:
                raise self._bad(f"{self.pattern[start : self.place]} repeats a repetition")
            many = True
            least, most = bounds
            node = Repeat(node, least, most, self._take("?") is not flags.lazy)

    def _bounds(self) -> tuple[int, int | None] | None:
        for text, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(text):
                return bounds
        stop = self.pattern.find("}", self.place)
        if not self.pattern.startswith("{", self.place) or stop < 0:
            return None
        low, comma, high = self.pattern[self.place + 1 : stop].partition(",")
        if not (low.isascii() and low.isdigit()) or (high and not (high.isascii() and high.isdigit())):
            return None  # a brace that bounds nothing is a brace
        self.place = stop + 1
        least = int(low[:5])
        most = (int(high[:5]) if high else None) if comma else least
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise self._bad(f"bad repetition {{{low}{comma}{high}}}")
        return least, most

    def _escape(self, flags: _Flags) -> list[Node]:
        char = self._next("trailing backslash")
        if char in "AzbB":
            return [Assert(char)]
        if char.lower() in PERL:
            return [Char(PERL[char.lower()], negated=char.isupper(), fold=flags.fold)]
        if char == "Q":
            stop = self.pattern.find("\\E", self.place)
            text = self.pattern[self.place : stop if stop >= 0 else None]
            self.place = stop + 2 if stop >= 0 else len(self.pattern)
            return [Char(((ord(one), ord(one)),), fold=flags.fold) for one in text]
        code = self._code(char)
        return [Char(((code, code),), fold=flags.fold)]

    def _code(self, char: str) -> int:
        """The character that an escape stands for."""
        if char in CONTROL:
            return CONTROL[char]
        if char == "x":
            digits = self._until("}", "missing } of \\x{") if self._take("{") else self._next() + self._next()
            if not digits or any(digit not in "0123456789abcdefABCDEF" for digit in digits) or int(digits, 16) > LAST:
                raise self._bad(f"bad escape \\x{digits}")
            return int(digits, 16)
        if char in "01234567" and (char == "0" or self.pattern[self.place : self.place + 1] in tuple("01234567")):
            digits = char
            while len(digits) < 3 and self.pattern[self.place : self.place + 1] in tuple("01234567"):
                digits += self._next()
            return int(digits, 8)
        if char.isascii() and char.isalnum():
            raise self._bad(f"\\{char} is not supported")
        return ord(char)

    def _class(self, flags: _Flags) -> Char:
        negated = self._take("^")
        spans: list[Span] = []
        first = True
        while first or not self._take("]"):
            first = False
            if self._take("[:"):
                spans.extend(self._posix())
                continue
            char = self._next("missing ]")
            if char == "\\" and self.pattern[self.place : self.place + 1].lower() in tuple(PERL):
                kind = self._next()
                spans.extend(PERL[kind.lower()] if kind.islower() else outside(PERL[kind.lower()]))
                continue
            low = self._code(self._next("missing ]")) if char == "\\" else ord(char)
            spans.append((low, self._high(low)))
        return Char(tuple(spans), negated=negated, fold=flags.fold)

    def _high(self, low: int) -> int:
        """The end of a range that may follow inside a class."""
        if not self.pattern.startswith("-", self.place) or self.pattern.startswith("-]", self.place):
            return low
        self.place += 1
        char = self._next("missing ]")
        high = self._code(self._next("missing ]")) if char == "\\" else ord(char)
        if high < low:
            raise self._bad(f"bad range {chr(low)}-{chr(high)}")
        return high

    def _posix(self) -> tuple[Span, ...]:
        name = self._until(":]", "missing :]")
        spans = POSIX.get(name.removeprefix("^"))
        if spans is None:
            raise self._bad(f"unknown class [:{name}:]; known: {', '.join(POSIX)}")
        return outside(spans) if name.startswith("^") else spans
