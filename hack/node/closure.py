"""Print the part of a lock that some packages need: themselves and, again and again, what they need.

usage: closure.py LOCK.txt PACKAGE...

The lock is one of uv's: below each package stands `# via`, and those that asked for it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(\[.*?\])?==", re.IGNORECASE)


def blocks(lock: str) -> dict[str, str]:
    """Name of each package -> its lines."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if start := PACKAGE.match(line):
            name = start["name"].lower()
        if name:
            found[name] = found.get(name, "") + line
    return found


def needed(packages: dict[str, str], wanted: set[str]) -> set[str]:
    """`wanted`, and all that they need."""
    if unknown := wanted - packages.keys():
        sys.exit(f"the lock has no package {', '.join(sorted(unknown))}")
    via = {name: set(re.findall(r"#\s+(?:via )?([a-z0-9._-]+)", text)) for name, text in packages.items()}
    found = set(wanted)
    while more := {name for name, by in via.items() if by & found} - found:
        found |= more
    return found


if __name__ == "__main__":
    all_packages = blocks(Path(sys.argv[1]).read_text())
    sys.stdout.write("".join(all_packages[name] for name in sorted(needed(all_packages, set(sys.argv[2:])))))
