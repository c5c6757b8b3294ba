"""Judges for counts: what says, look by look, whether the canary fails more often than it may.

`base` has the contract, `REGISTRY` the names, `bench` draws counts to try judges on, `testing` the tests that every
judge owes its users.
"""

from __future__ import annotations

import difflib
import inspect
from typing import Any, Final

from strategies.judges.base import NOTHING, Judge, Look, Session, State, Verdict
from strategies.judges.bernoulli_cusum import BernoulliCusum
from strategies.judges.burn_rate import BurnRate
from strategies.judges.failure_limit import FailureLimit
from strategies.judges.group_sequential import GroupSequential
from strategies.judges.lindon_malek import LindonMalek
from strategies.judges.msprt import Msprt
from strategies.judges.peeking_z import PeekingZ
from strategies.judges.ripr import Ripr, RiprOracle
from strategies.judges.sprt import Sprt
from strategies.judges.threshold import Threshold

__all__ = ["NOTHING", "REGISTRY", "Judge", "Look", "Session", "State", "Verdict", "make"]

REGISTRY: Final[dict[str, type[Any]]] = {
    judge.name: judge
    for judge in (
        Threshold,
        FailureLimit,
        BurnRate,
        LindonMalek,
        Ripr,
        RiprOracle,
        Msprt,
        Sprt,
        BernoulliCusum,
        PeekingZ,
        GroupSequential,
    )
}


def make(name: str, /, **settings: Any) -> Judge:
    """A judge by its name.

    Raises:
        ValueError: an unknown name or setting (it lists the known ones), a missing setting, or a value that the judge
            refuses.

    >>> make("lindon_malek", share=0.1).threshold
    4.605170185988091
    """
    kind = REGISTRY.get(name)
    if kind is None:
        raise ValueError(_unknown("judge", name, REGISTRY))
    known = inspect.signature(kind).parameters
    for setting in settings:
        if setting not in known:
            raise ValueError(_unknown(f"setting of judge {name}", setting, known))
    missing = [key for key, of in known.items() if of.default is inspect.Parameter.empty and key not in settings]
    if missing:
        raise ValueError(f"judge {name} needs {', '.join(missing)}; settings: {', '.join(known)}")
    judge: Judge = kind(**settings)
    return judge


def _unknown(what: str, name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r};{hint} known: {', '.join(sorted(known))}"
