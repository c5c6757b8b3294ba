"""A judge on a bench: with its name there, what it knows, and how long its own settings make it wait."""

from __future__ import annotations

from dataclasses import dataclass

from strategies.judges.base import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One judge, set up for one bench.

    Attributes:
        name: unique on the bench, in the letters of an option: `lindon-malek-10`.
        label: for tables and plots.
        kind: its name in the registry.
        knows_baseline: it was told p0; the others learn it from the stable revision.
        knows_fault: it was told p1, or tuned to it: nobody knows the next fault so well.
        proven: a theorem keeps alpha at every look, for every error ratio.
        window_seconds: it says nothing until a window of this length is full.
        hold_seconds: a crossing must last, or come again, for so long (`for`, failureLimit x interval).
        evaluates_seconds: its own time between two looks; 0 takes every look.
        yours: it is a rule of the scenario itself.
        about: one line on what it is.
    """

    name: str
    label: str
    kind: str
    judge: Judge
    knows_baseline: bool = False
    knows_fault: bool = False
    proven: bool = False
    window_seconds: float = 0.0
    hold_seconds: float = 0.0
    evaluates_seconds: float = 0.0
    yours: bool = False
    about: str = ""
