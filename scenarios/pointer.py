"""Errors inside a text of a file: the place of the fault, the line of text, and a caret under it.

A text may stand in a file in any form (plain, quoted, a block over several lines) and may have had arguments put in.
Where its characters cannot be found again in the file, the error stands where the text begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scenarios.errors import Place, ScenarioError
from scenarios.yaml_nodes import read_bytes

WIDTH: Final = 110  #: of a line that is shown


class Piece(NamedTuple):
    """A part of a text after arguments were put in, and what it was before."""

    start: int
    end: int
    raw_start: int
    raw_end: int
    replaced: bool  #: an argument: its characters have no places of their own


class Fault(NamedTuple):
    """What is wrong with a text, and which of its characters it is about."""

    problem: str
    start: int
    end: int


class TextError(ValueError):
    """A value that is a text with a fault in it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.problem)
        self.fault = fault


def pointed(
    fault: Fault,
    text: str,
    *,
    field: str,
    place: Place | None,
    raw: str | None = None,
    pieces: Sequence[Piece] = (),
    nearest: str | None = None,
    known: Iterable[str] = (),
) -> ScenarioError:
    """The error of a fault in a text.

    Args:
        fault: its offsets count in `text`.
        text: what was read, arguments put in.
        field: path of the field.
        place: where the value stands in its file; None: it has none.
        raw: the text as the file has it, where it differs.
        pieces: how the two correspond.
        nearest, known: names that would have been right, as of `ScenarioError`.
    """
    start, end = fault.start, max(fault.end, fault.start + 1)
    if raw is not None:
        start, end = _raw(start, pieces), max(_raw(end - 1, pieces, last=True), _raw(start, pieces)) + 1
        text = raw
    lines = _lines(place)
    found = _find(lines, place, text, start) if place is not None else None
    if place is None or found is None:
        line, column = _line_of(text, start)
    else:
        row, column = found
        line, place = lines[row], Place(place.file, row + 1, column + 1)
    excerpt = _excerpt(line, column, end - start)
    return ScenarioError(fault.problem, field=field, place=place, nearest=nearest, known=known, excerpt=excerpt)


def excerpt_at(place: Place | None, length: int) -> tuple[str, ...]:
    """The line of a file and carets under so many of its characters; nothing when it cannot be read again."""
    lines = _lines(place)
    if place is None or not 0 < place.line <= len(lines):
        return ()
    return _excerpt(lines[place.line - 1], max(place.column - 1, 0), length)


def _raw(offset: int, pieces: Sequence[Piece], *, last: bool = False) -> int:
    """The offset in the text of the file of an offset in the text with its arguments."""
    for piece in pieces:
        if piece.start <= offset < piece.end:
            if piece.replaced:
                return piece.raw_end - 1 if last else piece.raw_start
            return piece.raw_start + offset - piece.start
    return pieces[-1].raw_end if pieces else offset


# --- the place in the file ---------------------------------------------------------------------------------------


def _lines(place: Place | None) -> list[str]:
    if place is None or not place.line:
        return []
    try:
        return read_bytes(Path(place.file)).decode("utf-8-sig", "replace").split("\n")
    except ScenarioError:  # it was read before; now it cannot be, so nothing is shown of it
        return []


def _find(lines: list[str], place: Place, text: str, offset: int) -> tuple[int, int] | None:
    """Row and column (from 0) of a character of a text in its file: both are walked together, blanks left out."""
    row, column = place.line - 1, place.column - 1
    if not 0 <= row < len(lines) or not 0 <= column < len(lines[row]):
        return None
    first = lines[row][column]
    if first in "|>":
        row, column = row + 1, 0
    elif first in "\"'":
        column += 1
    walked = 0
    for walked, letter in enumerate(text):
        if letter.isspace():
            if walked == offset:
                return row, column
            continue
        while row < len(lines) and (column >= len(lines[row]) or lines[row][column].isspace()):
            row, column = (row, column + 1) if column < len(lines[row]) else (row + 1, 0)
        if row >= len(lines) or lines[row][column] != letter:
            return None
        if walked == offset:
            return row, column
        column += 1
    return row, column  # just behind the end


# --- what is shown -----------------------------------------------------------------------------------------------


def _line_of(text: str, offset: int) -> tuple[str, int]:
    """The line of a text that holds an offset, and the offset in it."""
    before = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    return text[before : end if end >= 0 else len(text)], offset - before


def _excerpt(line: str, column: int, length: int) -> tuple[str, ...]:
    """The line and the caret under it, cut around the fault where it is long."""
    line = "".join(letter if letter.isprintable() else " " for letter in line.rstrip())
    indent = min(len(line) - len(line.lstrip()), column)
    line, column = line[indent:], column - indent
    if len(line) > WIDTH:
        begin = max(0, min(column - WIDTH // 2, len(line) - WIDTH))
        line, column = line[begin : begin + WIDTH], column - begin
    carets = "^" * max(1, min(length, len(line) - column))
    return f"    {line}", f"    {' ' * column}{carets}"
