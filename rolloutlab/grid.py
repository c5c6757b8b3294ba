"""A table as aligned text, as wide as the terminal: what matters least is left out first, and named."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from rolloutlab import text

_GAP = "   "


@dataclass
class Grid:
    """A table of texts.

    Attributes:
        head: names of the columns; `under`: a second line of the head, or nothing.
        left: columns from the left that are aligned left; numbers are aligned right.
        breaks: numbers of rows after which a new group begins.
        spare: names of columns that may be left out, the first one first.
    """

    head: list[str]
    under: list[str]
    rows: list[list[str]]
    left: int = 1
    breaks: Sequence[int] = ()
    spare: Sequence[str] = field(default_factory=tuple)

    def text(self) -> str:
        """The table as wide as stdout allows; all of it where stdout is no terminal."""
        return self.fitted(terminal_width(), bold=bold())

    def fitted(self, width: int | None, *, bold: bool = False) -> str:
        """The table in at most `width` columns, as far as leaving out spare ones can do it; None is no limit."""
        kept = list(range(len(self.head)))
        gone: list[str] = []
        for name in self.spare:
            if width is None or sum(self._widths(kept)) + len(_GAP) * (len(kept) - 1) <= width:
                break
            if name in self.head:
                kept.remove(self.head.index(name))
                gone.append(name)
        lines = self._lines(kept, bold=bold)
        if gone:
            lines.append(f"Left out for a narrow terminal: {', '.join(gone)}.")
        return "\n".join(lines)

    def _widths(self, kept: Sequence[int]) -> list[int]:
        lines = [self.head, *([self.under] if self.under else []), *self.rows]
        return [max(wide(line[column]) for line in lines) for column in kept]

    def _lines(self, kept: Sequence[int], *, bold: bool) -> list[str]:
        widths = self._widths(kept)

        def line(cells: Sequence[str]) -> str:
            padded = (
                text.safe(cells[column]) + " " * (width - wide(cells[column]))
                if column < self.left
                else " " * (width - wide(cells[column])) + text.safe(cells[column])
                for column, width in zip(kept, widths, strict=True)
            )
            return _GAP.join(padded).rstrip()

        top = line(self.head)
        lines = [f"\x1b[1m{top}\x1b[0m" if bold else top]
        if self.under:
            lines.append(line(self.under))
        rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
        lines.append(rule)
        for number, row in enumerate(self.rows):
            if number in self.breaks:
                lines.append("")
            lines.append(line(row))
        return lines


def wide(words: str) -> int:
    """Columns of a terminal that a text takes.

    >>> wide("canary"), wide("青")
    (6, 2)
    """
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text.safe(words))


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None when it is none."""
    return shutil.get_terminal_size().columns if terminal() else None


def bold() -> bool:
    """Whether stdout shows bold letters, and nobody asked it not to."""
    return terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal() -> bool:
    """Whether stdout is a terminal; one that is closed is none."""
    if sys.stdout is None:  # closed before Python began (`>&-`)
        return False
    try:
        return os.isatty(sys.stdout.fileno())
    except (OSError, ValueError):  # a stream without a file
        return False
