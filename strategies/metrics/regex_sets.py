"""Sets of characters that regular expressions have names for, as spans of code points."""

from __future__ import annotations

from typing import Final, TypeAlias

LAST: Final = 0x10FFFF
Span: TypeAlias = tuple[int, int]

_DIGIT: Final[tuple[Span, ...]] = ((48, 57),)
_SPACE: Final[tuple[Span, ...]] = ((9, 10), (12, 13), (32, 32))
_WORD: Final[tuple[Span, ...]] = ((48, 57), (65, 90), (95, 95), (97, 122))
PERL: Final = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
POSIX: Final[dict[str, tuple[Span, ...]]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
CONTROL: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


def outside(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """All characters but these."""
    found, start = [], 0
    for low, high in sorted(spans):
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    return (*found, (start, LAST))
