"""The few places where versions of Prometheus give different answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose arithmetic is followed.

    Source: prometheus CHANGELOG.md 3.0 (left-open windows), pull request 13725 of 2.52 (`clamp_first`),
    promql/quantile.go of 2.48 (`merge_close`).
    """

    left_open: bool = True  #: a sample exactly at the beginning of a window or look-back is outside
    clamp_first: bool = False  #: see `extrapolated`
    merge_close: bool = True  #: see `bucket_quantile`
    lookback_ms: int = 300_000  #: how old a sample may be that an instant selector finds


PROMETHEUS_3: Final = Rules()
PROMETHEUS_2_42: Final = Rules(left_open=False, clamp_first=True, merge_close=False)
