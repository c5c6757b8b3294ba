"""Lets the tests of this folder import the stand-in for Chaos Mesh, and objects as the tests of faults draw them."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (Path(__file__).parents[2] / "cluster" / "standin", Path(__file__).parents[1] / "faults"):
    sys.path.insert(0, str(folder))
