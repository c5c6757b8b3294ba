"""Recorded traffic: request counts over time, from CSV with the columns `timestamp,requests`.

A row says: from this time until the next row's, this many requests came. The last row lasts as long as the one before
it. Times are ISO 8601 (all of one file with a zone, or none) or seconds since any epoch.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenarios.errors import Place, ScenarioError, ScenarioErrors, near, shown
from scenarios.units import MOST_PER_SECOND
from scenarios.yaml_nodes import read_bytes

MAX_BYTES: Final = 64 << 20
MAX_ERRORS: Final = 20  #: of one file; a trace that is wrong is often wrong in every row
MOST_REQUESTS: Final = 1e12  #: of one row
LATEST_SECONDS: Final = 1e11  #: the year 5138; what is later was meant as milliseconds
COLUMNS: Final = ("timestamp", "requests")
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?))?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?")


@dataclass(frozen=True, slots=True)
class Trace:
    """Request counts of n consecutive bins.

    Attributes:
        offsets_seconds: shape [n + 1], edges of the bins, from 0, strictly increasing.
        requests: shape [n], requests in each bin, 0 or more.
    """

    offsets_seconds: NDArray[np.float64]
    requests: NDArray[np.float64]

    @property
    def duration_seconds(self) -> float:
        """Length of the whole trace."""
        return float(self.offsets_seconds[-1])

    @property
    def mean_per_second(self) -> float:
        """Requests per second over the whole trace."""
        return float(self.requests.sum()) / self.duration_seconds


def read_trace(path: str | Path) -> Trace:
    """Read a trace.

    Args:
        path: a regular CSV file of at most 64 MiB; further columns are ignored.

    Raises:
        ScenarioErrors: no rows or only one, a missing column, and for every row (the first 20): a time or count that
            cannot be read, NaN, a negative count, a time that is not after the one before.
    """
    path = Path(path)
    try:
        text = _text(read_bytes(path, limit=MAX_BYTES, what="trace file"), path)
        times, requests = _columns(text, str(path))
        _check_rates(times, requests, path)
    except ScenarioErrors:
        raise
    except ScenarioError as error:
        raise ScenarioErrors([error]) from None
    offsets = times - times[0]
    edges = np.append(offsets, 2 * offsets[-1] - offsets[-2])
    for array in (edges, requests):
        array.setflags(write=False)
    return Trace(edges, requests)


def _check_rates(times: NDArray[np.float64], requests: NDArray[np.float64], path: Path) -> None:
    """A rate that nobody has is a time in another unit, or a row too much."""
    highest = float(np.max(requests[:-1] / np.diff(times)))
    if highest > MOST_PER_SECOND:
        problem = f"expected at most {MOST_PER_SECOND:g} requests a second, got {highest:.4g}"
        raise ScenarioError(problem, field="requests", place=Place(str(path), 1))


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ScenarioError("expected UTF-8 text", place=Place(str(path), line)) from None


def _columns(text: str, file: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and counts of all rows, or every error."""
    rows = _rows(text, file)
    _, header = next(rows, (1, []))
    index = _header(header, file)
    times: list[float] = []
    requests: list[float] = []
    errors: list[ScenarioError] = []
    form = ""
    for line, row in rows:
        place = Place(file, line)
        here = _form(row[index[0]].strip()) if len(row) > index[0] else ""
        form = form or here
        if here and here != form:
            errors.append(ScenarioError(expected=f"{form}, as the first row", got=here, field="timestamp", place=place))
            break
        if len(row) <= max(index):
            errors.append(ScenarioError(f"expected {max(index) + 1} columns, got {len(row)}", place=place))
        else:
            _row(row[index[0]].strip(), row[index[1]].strip(), place, (times, requests, errors))
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise ScenarioErrors(errors)
    if len(times) < 2:
        got = "an empty trace" if not times else "a trace of one row, which has no length"
        raise ScenarioError(f"expected rows of timestamp,requests, got {got}", place=Place(file, 1))
    if not sum(requests) > 0:
        raise ScenarioError("expected at least one request in the trace, got none", place=Place(file, 1))
    return np.array(times), np.array(requests)


def _rows(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise ScenarioError(f"not CSV: {error}", place=Place(file, reader.line_num)) from None


def _header(header: list[str], file: str) -> tuple[int, int]:
    """Positions of the two columns."""
    names = [cell.strip().lower() for cell in header]
    place = Place(file, 1)
    if not names:
        raise ScenarioError("expected a header timestamp,requests, got an empty trace", place=place)
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        got = ", ".join(names)[:80]
        mean = near(missing[0], [name for name in names if name not in COLUMNS])
        if len(names) == 1 and (other := next((sign for sign in ";\t|" if sign in names[0]), None)):
            problem = f"expected columns separated by commas, got {shown(other)} between them"
            raise ScenarioError(problem, place=place)
        problem = f"expected a column {missing[0]!r}, got {got!r}"
        raise ScenarioError(problem + (f"; is {mean!r} meant?" if mean else ""), field=missing[0], place=place)
    return names.index(COLUMNS[0]), names.index(COLUMNS[1])


def _row(stamp: str, count: str, place: Place, into: tuple[list[float], list[float], list[ScenarioError]]) -> None:
    times, requests, errors = into
    problem = ""
    seconds, number = _seconds(stamp), _count(count)
    if seconds is None or abs(seconds) > LATEST_SECONDS:
        what = "ISO 8601 such as 2025-01-31T12:00:00Z, or seconds"
        errors.append(ScenarioError(expected=what, got=stamp, field="timestamp", place=place))
    elif times and seconds <= times[-1]:
        problem = f"expected a time after that of the row before, got {shown(stamp)}"
        errors.append(ScenarioError(problem, field="timestamp", place=place))
    if number is None or not 0 <= number <= MOST_REQUESTS:
        what = "a number, 0 or more" if number is None or number < 0 else f"at most {MOST_REQUESTS:g}"
        errors.append(ScenarioError(expected=what, got=count, field="requests", place=place))
    if seconds is not None and number is not None and not problem:
        times.append(seconds)
        requests.append(number)


def _count(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _form(text: str) -> str:
    """How a time is written; one trace has one form. Empty when it cannot be read."""
    found = _ISO.fullmatch(text)
    if found is None:
        return "" if _count(text) is None else "seconds"
    return "a date with a zone" if found[3] else "a date without a zone"


def _seconds(text: str) -> float | None:
    """Seconds of a time, since 1970 where it is a date; None when it is neither a date nor a number.

    >>> _seconds("1970-01-01T01:00:00+01:00"), _seconds("1970-01-02"), _seconds("12.5"), _seconds("noon")
    (0.0, 86400.0, 12.5, None)
    """
    found = _ISO.fullmatch(text)
    if not found:
        return _count(text)
    day, clock, zone = found.groups()
    try:
        since = np.datetime64(f"{day}T{clock or '00:00'}", "ns") - np.datetime64(0, "ns")
    except ValueError:
        return None
    seconds = float(since / np.timedelta64(1, "ns")) / 1e9
    if zone and zone not in "Zz":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        seconds -= (1 if zone[0] == "+" else -1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)
    return seconds
