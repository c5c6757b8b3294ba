"""Files that a command will write: found out before the run, so that a long run is not lost for a wrong name."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def check_writable(*targets: str | Path, make_folders: bool = True) -> None:
    """Find out whether files can be written, and leave everything as it is.

    Args:
        targets: names of the files; one that exists keeps its content.
        make_folders: whether the command makes the folders that are missing.

    Raises:
        OSError: the first that cannot be written.
    """
    for target in map(Path, targets):
        if target.exists():
            _check_existing(target)
        elif make_folders and not target.parent.exists():
            _check_folder(next(folder for folder in target.absolute().parents if folder.exists()))
        else:
            target.open("ab").close()
            target.unlink()


def _check_existing(target: Path) -> None:
    if target.is_file() or target.is_dir():
        target.open("ab").close()  # of a folder: the error that says so
    elif not os.access(target, os.W_OK):  # a pipe would wait for its reader
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
