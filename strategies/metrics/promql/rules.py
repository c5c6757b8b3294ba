"""The few places where versions of Prometheus give different answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose arithmetic is followed.

    Source: prometheus pull requests 13725 (`clamp_first`), 12595 (`atan2_keeps_name`), 13153 (`merge_close`), 14941
    (`one_is_steady`), 13904 (`left_open`).
    """

    left_open: bool = True  #: a sample exactly at the beginning of a window or look-back is outside
    clamp_first: bool = False  #: see `extrapolated`
    merge_close: bool = True  #: see `bucket_quantile`
    atan2_keeps_name: bool = False  #: the result of `atan2` keeps the metric's name
    one_is_steady: bool = False  #: `stddev` of one series is 0 even where its value is NaN or infinite
    lookback_ms: int = 300_000  #: how old a sample may be that an instant selector finds


PROMETHEUS_3: Final = Rules()
PROMETHEUS_2_42: Final = Rules(
    left_open=False,
    clamp_first=True,
    merge_close=False,
    atan2_keeps_name=True,
    one_is_steady=True,
)
