"""Regular expressions in RE2's syntax that match a whole label value, in time linear in its length.

A pattern comes from a query that may be anybody's, so it must not run away: it is compiled to a small program whose
threads advance together, one character at a time. Groups are reported as Perl and RE2 report them (the alternative
written first wins).

Source: RE2 syntax (github.com/google/re2/wiki/Syntax); Pike's machine, Cox, "Regular Expression Matching: the Virtual
Machine Approach" (2009). Not here: Unicode classes (`\\pL`), `\\C`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from strategies.metrics.regex_parse import Assert, Char, Group, Node, Repeat, parse

MAX_INSTRUCTIONS: Final = 3_000
Groups: TypeAlias = tuple[str | None, ...]
_Program: TypeAlias = list["_Step"]


@dataclass(slots=True)
class _Step:
    """One instruction: a character to eat, an assertion, a place to remember, or where to go (first choice first)."""

    char: Char | None = None
    check: str = ""
    save: int = -1
    to: tuple[int, ...] = ()
    end: bool = False

    def eats(self, char: str) -> bool:
        return self.char is not None and self.char.eats(char)


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled pattern.

    >>> Regex.of("(GET|POST) /(.*)").groups("GET /cart")
    ('GET /cart', 'GET', 'cart')
    >>> Regex.of("5..").matches("5000")
    False
    """

    program: tuple[_Step, ...]
    count: int  #: groups, the whole match included
    names: tuple[tuple[str, int], ...]  #: named groups and their numbers

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(pattern: str) -> Regex:
        """Compile a pattern.

        Raises:
            ValueError: it is no regular expression, uses what is not supported, or is too large.
        """
        tree, names, count = parse(pattern)
        program: _Program = []
        _emit(tree, program)
        program.append(_Step(end=True))
        return Regex(tuple(program), count, tuple(names))

    def matches(self, value: str) -> bool:
        """Whether the whole value matches."""
        return self.groups(value) is not None

    def groups(self, value: str) -> Groups | None:
        """The whole match and its groups, None for a group that took no part; None when the value does not match."""
        threads = self._follow([(0, (-1,) * (2 * self.count))], value, 0)
        for place, char in enumerate(value):
            if not threads:
                return None
            eaten = [(pc + 1, saved) for pc, saved in threads if self.program[pc].eats(char)]
            threads = self._follow(eaten, value, place + 1)
        for pc, saved in threads:
            if self.program[pc].end:
                inner = tuple(
                    value[saved[2 * n] : saved[2 * n + 1]] if saved[2 * n + 1] >= 0 else None
                    for n in range(1, self.count)
                )
                return (value, *inner)
        return None

    def _follow(
        self, threads: list[tuple[int, tuple[int, ...]]], value: str, place: int
    ) -> list[tuple[int, tuple[int, ...]]]:
        """Run every thread up to the next character it wants, in order of preference; each instruction once."""
        seen: set[int] = set()
        waiting: list[tuple[int, tuple[int, ...]]] = []
        stack = threads[::-1]
        while stack:
            pc, saved = stack.pop()
            if pc in seen:
                continue
            seen.add(pc)
            step = self.program[pc]
            if step.char is not None or step.end:
                waiting.append((pc, saved))
            elif step.to:
                stack.extend((pc + jump, saved) for jump in reversed(step.to))
            elif step.save >= 0:
                stack.append((pc + 1, (*saved[: step.save], place, *saved[step.save + 1 :])))
            elif _holds(step.check, value, place):
                stack.append((pc + 1, saved))
        return waiting


def _emit(node: Node, program: _Program) -> None:
    """Append the instructions of a node; jumps are relative."""
    if len(program) > MAX_INSTRUCTIONS:
        raise ValueError(f"regular expression is too large: more than {MAX_INSTRUCTIONS} instructions")
    if isinstance(node, Char):
        program.append(_Step(char=node))
    elif isinstance(node, Assert):
        program.append(_Step(check=node.kind))
    elif isinstance(node, Group):
        if node.number is not None:
            program.append(_Step(save=2 * node.number))
        _emit_choice(node.choices, program)
        if node.number is not None:
            program.append(_Step(save=2 * node.number + 1))
    else:
        _emit_repeat(node, program)


def _emit_choice(choices: tuple[tuple[Node, ...], ...], program: _Program) -> None:
    ends = []
    for number, sequence in enumerate(choices):
        split = len(program)
        last = number == len(choices) - 1
        if not last:
            program.append(_Step())
        for node in sequence:
            _emit(node, program)
        if not last:
            ends.append(len(program))
            program.append(_Step())
            program[split].to = (1, len(program) - split)
    for end in ends:
        program[end].to = (len(program) - end,)


def _emit_repeat(node: Repeat, program: _Program) -> None:
    for _ in range(node.least):
        before = len(program)
        _emit(node.node, program)
        if len(program) == before:  # nothing, repeated, is nothing
            return
    if node.most is None:
        split = len(program)
        program.append(_Step())
        _emit(node.node, program)
        program.append(_Step(to=(split - len(program),)))
        program[split].to = _preferring(node, 1, len(program) - split)
        return
    splits = []
    for _ in range(node.most - node.least):
        splits.append(len(program))
        program.append(_Step())
        _emit(node.node, program)
    for split in splits:
        program[split].to = _preferring(node, 1, len(program) - split)


def _preferring(node: Repeat, again: int, leave: int) -> tuple[int, ...]:
    return (leave, again) if node.lazy else (again, leave)


def _holds(kind: str, value: str, place: int) -> bool:
    if kind in ("A", "z"):
        return place == (0 if kind == "A" else len(value))
    if kind == "^":
        return place == 0 or value[place - 1] == "\n"
    if kind == "$":
        return place == len(value) or value[place] == "\n"
    before = place > 0 and _is_word(value[place - 1])
    after = place < len(value) and _is_word(value[place])
    return (before != after) is (kind == "b")


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())
