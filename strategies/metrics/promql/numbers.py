"""Numbers as Go reads them."""

from __future__ import annotations

import re
from typing import Final

_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEX: Final = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+", re.ASCII)
_WORD: Final = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE | re.ASCII)


def go_float(text: str) -> float | None:
    """A number as `strconv.ParseFloat` reads it; None for what it refuses.

    >>> go_float("+Inf"), go_float("0.5"), go_float("1_0"), go_float(" 1")
    (inf, 0.5, None, None)
    """
    if len(text) > 400:
        return None
    if _DECIMAL.fullmatch(text) or _WORD.fullmatch(text):
        return float(text)
    return float.fromhex(text) if _HEX.fullmatch(text) else None
