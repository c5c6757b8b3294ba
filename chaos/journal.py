"""The write-ahead journal of a rollout: every intent and every answer, on the disk before anything follows from it.

JSON lines. The first is a header; each further one is an entry of a tape (`strategies.tape`) with its number and the
wall and monotonic time of writing. A line that a crash cut off is dropped when the journal is read. The file holds what
the strategy asked and learned, never settings of the world: no address, no header, no token can get into it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self

from chaos.world import WorldError
from strategies.tape import Entry, decode, encode

FORMAT: Final = "rolloutlab/journal/v1"
LONGEST: Final = 64 * 1024 * 1024  #: bytes that are read of a journal
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Which run of the kernel this is: monotonic times of another one mean nothing here."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


class JournalError(ValueError):
    """A journal that cannot be read, or does not belong to what is to be resumed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a journal holds: its header, and the entries in order."""

    header: dict[str, Any]
    entries: list[Entry] = field(default_factory=list)
    length: int = 0  #: bytes that hold whole lines; what follows was cut off by a crash


class Journal:
    """Appends entries; each is on the disk when the call returns. A `Recorder` of `strategies.drive.Runtime`."""

    def __init__(self, stream: IO[bytes], count: int = 0) -> None:
        self._stream = stream
        self._count = count

    @classmethod
    def create(cls, path: Path, header: dict[str, Any]) -> Journal:
        """Begin a journal; the file must not exist."""
        stream = _opened(path, "xb")
        journal = cls(stream)
        journal._append({"format": FORMAT, "boot": boot_id(), "wall": time.time(), **header})
        return journal

    @classmethod
    def append_to(cls, path: Path, recorded: Recorded) -> Journal:
        """Go on with a journal that was read; what a crash cut off is taken away first."""
        stream = _opened(path, "r+b")
        stream.truncate(recorded.length)
        stream.seek(recorded.length)
        return cls(stream, len(recorded.entries))

    def __call__(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        """Write one entry."""
        self._count += 1
        line = {"n": self._count, "wall": round(time.time(), 6), "monotonic": round(time.monotonic(), 6)}
        self._append({**line, "at_us": at_us, "kind": kind, "task": task, "name": name, "what": encode(what)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._stream.write(text.encode())
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise WorldError(f"the journal {self._stream.name} cannot be written: {error.strerror}") from error


def _opened(path: Path, mode: str) -> IO[bytes]:
    try:
        return path.open(mode)
    except OSError as error:
        raise WorldError(f"the journal {path} cannot be opened: {error.strerror}") from error


def read(path: Path) -> Recorded:
    """Read a journal.

    Raises:
        JournalError: no journal, or one that is damaged elsewhere than in its last line.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(LONGEST + 1)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    if len(raw) > LONGEST:
        raise JournalError(f"{path}: expected at most {LONGEST >> 20} MiB")
    whole = raw[: raw.rfind(b"\n") + 1]
    lines = whole.splitlines()
    if not lines:
        raise JournalError(f"{path}: expected a header, got an empty file")
    header = _line(path, 1, lines[0])
    if header.get("format") != FORMAT:
        raise JournalError(f"{path}:1: expected format {FORMAT}, got {header.get('format')!r}")
    return Recorded(header, [_entry(path, number, line) for number, line in enumerate(lines[1:], 2)], len(whole))


def _line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        words = json.loads(line)
    except ValueError as error:
        raise JournalError(f"{path}:{number}: expected JSON, got {error}") from error
    if not isinstance(words, dict):
        raise JournalError(f"{path}:{number}: expected an object")
    return words


def _entry(path: Path, number: int, line: bytes) -> Entry:
    words = _line(path, number, line)
    try:
        if words["n"] != number - 1:
            raise JournalError(f"{path}:{number}: expected entry {number - 1}, got {words['n']}: lines are missing")
        return Entry(words["at_us"], words["kind"], words["task"], words["name"], decode(words["what"]))
    except (KeyError, TypeError) as error:
        raise JournalError(f"{path}:{number}: not an entry: {error}") from error
