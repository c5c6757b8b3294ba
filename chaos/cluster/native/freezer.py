"""Stop the processes of a cgroup where they are, and let them go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from chaos.cluster.native.injection import RefusedError

_SECONDS: Final = 5.0  #: until the kernel has stopped the last process
_LOOK_SECONDS: Final = 0.002


def freeze(folder: Path) -> None:
    """Stop everything in a cgroup; returns when all of it stands.

    Raises:
        RefusedError: it cannot be frozen, is frozen by somebody else, or did not stand in time.
    """
    file, words = _switch(folder)
    if file.read_text().strip() == words[1]:
        raise RefusedError(f"{folder} is frozen already, and not by us")
    file.write_text(words[1])
    deadline = time.monotonic() + _SECONDS
    while not _frozen(folder):
        if time.monotonic() > deadline:
            raise RefusedError(f"{folder} did not freeze within {_SECONDS:g} s")
        time.sleep(_LOOK_SECONDS)


def thaw(folder: Path) -> bool:
    """Let everything go on; false when there was nothing to do, as the cgroup is gone or runs."""
    if not folder.is_dir():
        return False
    file, words = _switch(folder)
    if file.read_text().strip() == words[0]:
        return False
    file.write_text(words[0])
    return True


def _switch(folder: Path) -> tuple[Path, tuple[str, str]]:
    """The file to write to, with the words for running and for frozen: cgroup v1, or v2."""
    for name, words in (("freezer.state", ("THAWED", "FROZEN")), ("cgroup.freeze", ("0", "1"))):
        if (folder / name).exists():
            return folder / name, words
    raise RefusedError(f"{folder} has no freezer")


def _frozen(folder: Path) -> bool:
    v1 = folder / "freezer.state"
    if v1.exists():
        return v1.read_text().strip() == "FROZEN"
    return "frozen 1" in (folder / "cgroup.events").read_text().splitlines()
