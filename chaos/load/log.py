"""The traffic log: one record of fixed size for each request, readable while it is written.

Times are microseconds of the monotonic clock, which all processes of a machine share. A request's latency is from the
time at which it was meant to be sent: a generator or a target that stands still does not make it shorter.
"""

from __future__ import annotations

import csv
import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

FORMAT: Final = "rolloutlab/traffic/v1"
DTYPE: Final = np.dtype(
    [
        ("intended_us", "<i8"),
        ("sent_us", "<i8"),  # when it began to be sent; a new connection is opened after that
        ("done_us", "<i8"),  # when the last byte of the answer was there, or it was clear that none would come
        ("user", "<u4"),  # 0: there are no users
        ("status", "<u2"),  # 0: no response, and `reason` says why
        ("reason", "u1"),  # place in REASONS
        ("revision", "u1"),  # place in REVISIONS
        ("fresh", "?"),  # had a connection of its own
        ("version", "S31"),
        ("pod", "S64"),
    ]
)
SIZE: Final = DTYPE.itemsize  #: bytes of a record, and of the header
_RECORD: Final = struct.Struct("<qqqIHBB?31s64s")
REVISIONS: Final = ("", "stable", "canary")
#: why there was no response: too late; connection refused; connection lost; not HTTP, or too large; any other failure
#: to connect; the generator was ended while it waited; the generator was ended before it was sent
REASONS: Final = ("", "timeout", "refused", "lost", "malformed", "no_connection", "ended", "not_sent")
MOST_RECORDS: Final = 500_000  #: that one read returns

Records: TypeAlias = NDArray[np.void]


class TrafficLogError(ValueError):
    """A file that is no traffic log, or one of another version."""


class TrafficWriter:
    """Writes a log; what was added is in the file after the next `flush`.

    Args:
        path: a new file; an old one of that name is replaced.
        began_us: when second 0 of the schedule was.

    Raises:
        OSError: here and in `flush`: the disk is full, the folder is missing.
    """

    def __init__(self, path: Path, began_us: int) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._pending = bytearray()
        header = json.dumps({"format": FORMAT, "record": SIZE, "began_us": began_us})
        self._pending += header.encode().ljust(SIZE - 1) + b"\n"
        try:
            self.flush()
        except OSError:
            self.close()
            raise

    def add(self, *values: Any) -> None:
        """Add a record, its fields in the order of `DTYPE`; names that are too long for it are cut."""
        self._pending += _RECORD.pack(*values)

    def flush(self) -> None:
        """Hand everything to the kernel, whence any process can read it."""
        while self._pending:
            written = os.write(self._file, self._pending)
            del self._pending[:written]

    def close(self) -> None:
        """Close the file; what was not flushed is lost."""
        os.close(self._file)


class TrafficLog:
    """Reads a log, also one that is being written.

    Attributes:
        began_us: when second 0 of the schedule was; None until the header is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began_us: int | None = None
        self._at = 0

    def read_new(self) -> Records:
        """Records since the last call, shape [N], in order of their end; none when the file is not there yet.

        At most `MOST_RECORDS`; whoever gets so many asks again.

        Raises:
            TrafficLogError: the file is something else.
        """
        try:
            with self.path.open("rb") as stream:
                if self.began_us is None:
                    header = stream.read(SIZE)
                    if len(header) < SIZE:
                        return np.zeros(0, DTYPE)
                    self.began_us = self._began_us(header)
                    self._at = SIZE
                stream.seek(self._at)
                content = stream.read(MOST_RECORDS * SIZE)
        except FileNotFoundError:
            return np.zeros(0, DTYPE)
        whole = len(content) - len(content) % SIZE  # the last one may be half written
        self._at += whole
        return np.frombuffer(content[:whole], DTYPE)

    def read_all(self) -> Records:
        """Everything that is there, from the beginning."""
        self.began_us, self._at = None, 0
        parts = [self.read_new()]
        while len(parts[-1]) == MOST_RECORDS:
            parts.append(self.read_new())
        return np.concatenate(parts)

    def _began_us(self, header: bytes) -> int:
        try:
            found = json.loads(header)
            if found["format"] != FORMAT or found["record"] != SIZE:
                raise ValueError
            return int(found["began_us"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise TrafficLogError(f"{self.path}: expected a traffic log ({FORMAT})") from None


def latency_seconds(records: Records) -> NDArray[np.float64]:
    """From the intended time to the end of the answer, shape [N]."""
    found: NDArray[np.float64] = (records["done_us"] - records["intended_us"]) / 1e6
    return found


def failed(records: Records) -> NDArray[np.bool_]:
    """No response, or one with a status of 500 or more, shape [N]."""
    status = records["status"]
    found: NDArray[np.bool_] = (status == 0) | (status >= 500)
    return found


def summary(records: Records) -> dict[str, Any]:
    """Counts and latencies of all requests, and of each revision that answered (`""`: none is known).

    Latencies are those of responses of any status; None where there are none.
    """
    by_revision = {
        REVISIONS[code]: _part(records[records["revision"] == code]) for code in np.unique(records["revision"]).tolist()
    }
    return {**_part(records), "by_revision": by_revision}


def _part(records: Records) -> dict[str, Any]:
    answered = records[records["status"] > 0]
    latency = latency_seconds(answered)
    return {
        "requests": len(records),
        "answered": len(answered),
        "failed": int(failed(records).sum()),
        "by_status": _counted(str(status) for status in answered["status"].tolist()),
        "by_reason": _counted(REASONS[code] for code in records["reason"].tolist() if code),
        "latency_seconds": quantiles(latency),
    }


def quantiles(values: NDArray[np.float64]) -> dict[str, float | None]:
    """Median, tail and maximum; None where there are no values."""
    if not len(values):
        return dict.fromkeys(("p50", "p90", "p99", "max"))
    p50, p90, p99 = np.quantile(values, [0.5, 0.9, 0.99], method="higher").tolist()
    return {"p50": p50, "p90": p90, "p99": p99, "max": float(values.max())}


def write_csv(records: Records, path: Path) -> None:
    """Write records for other tools: a header and one line for each, times in microseconds."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(DTYPE.names or ())
        for each in records.tolist():
            *times, user, status, reason, revision, fresh, version, pod = each
            names = (REASONS[reason], REVISIONS[revision], int(fresh), _text(version), _text(pod))
            writer.writerow((*times, user, status, *names))


def _text(name: bytes) -> str:
    return name.decode("ascii", errors="replace")


def _counted(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))
