"""Which effect is legal in which phase of a rollout, as one table that also draws the documentation.

A rollout has three phases. It begins `undecided`; `Promote` and `Undo` each lead to a phase of their own, from which
there is no way back. A spawned program (an analysis) may look and wait, and never acts on pods or traffic.
"""

from __future__ import annotations

import enum

from strategies.effects import (
    AwaitApproval,
    AwaitAvailable,
    AwaitComplete,
    Cancel,
    Effect,
    Join,
    Measure,
    Note,
    Observe,
    Promote,
    RollTo,
    Scale,
    SetWeight,
    Spawn,
    Undo,
    Wait,
)


class Phase(enum.StrEnum):
    """Where a rollout stands."""

    UNDECIDED = "undecided"
    PROMOTED = "promoted"
    UNDONE = "undone"


_ACTIONS: tuple[type[Effect], ...] = (Scale, RollTo, SetWeight, AwaitAvailable, AwaitComplete, Observe)
_LOOKS: tuple[type[Effect], ...] = (Wait, AwaitApproval, Measure, Note)
_PROGRAMS: tuple[type[Effect], ...] = (Spawn, Join, Cancel)


def _stay(phase: Phase, kinds: tuple[type[Effect], ...]) -> dict[type[Effect], Phase]:
    return dict.fromkeys(kinds, phase)


#: phase -> kind of effect -> next phase; a missing entry is the error
TABLE: dict[Phase, dict[type[Effect], Phase]] = {
    Phase.UNDECIDED: _stay(Phase.UNDECIDED, _ACTIONS + _LOOKS + _PROGRAMS)
    | {Promote: Phase.PROMOTED, Undo: Phase.UNDONE},
    Phase.PROMOTED: _stay(Phase.PROMOTED, _ACTIONS + _LOOKS + _PROGRAMS),
    Phase.UNDONE: _stay(Phase.UNDONE, _ACTIONS + _LOOKS + _PROGRAMS),
}

#: what a spawned program may yield, in every phase
IN_CHILD: frozenset[type[Effect]] = frozenset(_LOOKS)
