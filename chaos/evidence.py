"""What a traffic log says: bad responses, the last of a revision, when the objective held again, users who met it.

Arrays are of shape [N], one a request, in the order in which requests ended (`chaos.load.log.DTYPE`). A request is bad
when it failed or took longer than the objective allows; its latency counts from the time at which it was due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from chaos.load.log import DTYPE, REASONS, REVISIONS, Records, failed, latency_seconds
from chaos.timeline import Moment
from strategies.effects import Revision

BoolArray = NDArray[np.bool_]
US: Final = 1_000_000
BACK_WINDOWS: Final = 3  #: windows in a row within the objective
SURPRISE: Final = 0.01  #: a window whose bad responses are rarer than this under the objective is not within it
#: requests that the generator gave up or never sent say nothing about the service
_OURS: Final = tuple(REASONS.index(reason) for reason in ("ended", "not_sent"))


def answered(records: Records) -> Records:
    """The requests that the service had its chance to answer."""
    kept: Records = records[~np.isin(records["reason"], _OURS)]
    return kept


def together(parts: Sequence[Records]) -> Records:
    """Several logs as one, in the order in which requests ended."""
    joined = np.concatenate(parts) if parts else np.zeros(0, DTYPE)
    ordered: Records = joined[np.argsort(joined["done_us"], kind="stable")]
    return ordered


def of_revision(records: Records, revision: Revision) -> BoolArray:
    """Which requests this revision answered."""
    found: BoolArray = records["revision"] == REVISIONS.index(revision)
    return found


def bad(records: Records, slo_seconds: float) -> BoolArray:
    """Which requests failed or were slow."""
    found: BoolArray = failed(records) | (latency_seconds(records) > slo_seconds)
    return found


def first_bad(records: Records, revisions: Sequence[Revision], since: float, slo_seconds: float) -> Moment | None:
    """t3: the first bad response of these revisions that was due after `since` (monotonic seconds)."""
    ours = np.zeros(len(records), dtype=np.bool_)
    for revision in revisions:
        ours |= of_revision(records, revision)
    found = records[ours & bad(records, slo_seconds) & (records["sent_us"] >= since * US)]
    return _between(found[0]) if len(found) else None


def last_response(records: Records, revision: Revision) -> Moment | None:
    """The last response of a revision."""
    found = records[of_revision(records, revision)]
    return _between(found[-1]) if len(found) else None


def _between(record: Any) -> Moment:
    return Moment(min(int(record["sent_us"]), int(record["done_us"])) / US, int(record["done_us"]) / US)


def within(bad_count: int, count: int, allowed_ratio: float) -> bool:
    """Whether so many bad responses are no surprise when this share (0..1) of them may be bad."""
    return bad_count == 0 or float(special.bdtrc(bad_count - 1, count, allowed_ratio)) > SURPRISE


def back_to_normal(
    records: Records, since: float, until: float, *, window: float, allowed_ratio: float, slo_seconds: float
) -> Moment:
    """t7: the start of the first of `BACK_WINDOWS` windows in a row, after `since`, that are within the objective.

    Args:
        since, until: monotonic seconds between which to look.
        window: length of a window in real seconds; one without requests is not within the objective.
        allowed_ratio: share of responses that may be bad (0..1).

    Returns:
        Where it begins: within the window that ends in `hi`; censored when it did not come before `until`.
    """
    ours = records[(records["intended_us"] >= since * US) & (records["intended_us"] < until * US)]
    places = ((ours["intended_us"] / US - since) / window).astype(np.int64)
    count = max(0, int((until - since) / window))
    requests = np.bincount(places, minlength=count)
    wrong = np.bincount(places[bad(ours, slo_seconds)], minlength=count)
    row = 0
    for place in range(count):
        good = requests[place] > 0 and within(int(wrong[place]), int(requests[place]), allowed_ratio)
        row = row + 1 if good else 0
        if row == BACK_WINDOWS:
            first = place - BACK_WINDOWS + 1
            return Moment(since + max(0, first - 1) * window if first else since, since + first * window)
    return Moment.never(until)


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of a revision, or of all (`revision` empty)."""

    revision: str
    requests: int
    failed: int
    slow: int  #: answered without failing, later than the objective allows

    @property
    def bad(self) -> int:
        """Failed or slow."""
        return self.failed + self.slow


def counts(records: Records, slo_seconds: float) -> list[Counts]:
    """Of all requests, then of each revision that answered."""
    found = [_counts("", records, slo_seconds)]
    for code in np.unique(records["revision"]).tolist():
        if code:
            found.append(_counts(REVISIONS[code], records[records["revision"] == code], slo_seconds))
    return found


def _counts(name: str, records: Records, slo_seconds: float) -> Counts:
    broken = failed(records)
    slow = ~broken & (latency_seconds(records) > slo_seconds)
    return Counts(name, len(records), int(broken.sum()), int(slow.sum()))


def users_met(records: Records, revision: Revision, since: float) -> int | None:
    """Different users whom a revision answered after `since`; None when requests bear no user."""
    ours = records[of_revision(records, revision) & (records["done_us"] >= since * US)]
    numbers = np.unique(ours["user"])
    if not np.any(records["user"]):
        return None
    return int((numbers > 0).sum())


@dataclass(frozen=True, slots=True)
class Bin:
    """What happened in one stretch of time; for live views and drawings."""

    at: float  #: scenario seconds at its start
    seconds: float  #: its length in scenario seconds
    counts: tuple[Counts, ...]
    p50: dict[str, float | None]  #: median latency in real seconds, by revision
    p99: dict[str, float | None]


def summary(records: Records, slo_seconds: float) -> dict[str, dict[str, Any]]:
    """Counts by revision, `all` for every request; `p99_seconds` is real time, None where nobody answered."""
    found = {each.revision or "all": asdict(each) for each in counts(records, slo_seconds)}
    for name, told in found.items():
        ours = records if name == "all" else records[records["revision"] == REVISIONS.index(name)]
        told["p99_seconds"] = _quantile(ours, 0.99)
    return found


def bins(records: Records, began: float, speed: float, *, width: float, slo_seconds: float) -> list[Bin]:
    """Traffic by stretches of `width` scenario seconds, in order; those without requests are left out."""
    if not len(records):
        return []
    at = (records["intended_us"] / US - began) * speed
    places = np.floor(at / width).astype(np.int64)
    found = []
    for place in np.unique(places).tolist():
        part = records[places == place]
        by = {name: part[part["revision"] == code] for code, name in enumerate(REVISIONS) if name}
        quantiles = {
            q: {name: _quantile(some, q) for name, some in by.items() if len(some)} for q in (0.5, 0.99)
        }  # fmt: skip
        found.append(Bin(place * width, width, tuple(counts(part, slo_seconds)), quantiles[0.5], quantiles[0.99]))
    return found


def _quantile(records: Records, q: float) -> float | None:
    values = latency_seconds(records[records["status"] > 0])
    return float(np.quantile(values, q, method="higher")) if len(values) else None
