"""`python -m rolloutlab` is `rolloutlab`."""

from __future__ import annotations

from rolloutlab.cli import main

main(prog_name="rolloutlab")
