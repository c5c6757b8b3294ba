"""Lets the tests of this folder import `worlds`, the small helpers that tests/theory and tests/sim share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "theory"))
