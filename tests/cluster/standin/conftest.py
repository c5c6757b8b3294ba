"""Lets the tests of this folder import the equipment beside them, and objects as the tests of faults draw them."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[2] / "chaos" / "faults"):
    sys.path.insert(0, str(folder))
