"""Leaving nothing behind in a cluster: what belongs to one drill, or to drills that nobody looks after any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, OURS, POD, REPLICA_SET, SERVICE, Kind
from chaos.cluster.kube import AWAY, ApiError, Kube, Object
from chaos.cluster.objects import EXPIRES
from chaos.cluster.pod import DRILL

_PATIENCE_SECONDS: Final = 40.0
AWAY_SECONDS: Final = 90.0  #: what a drill leaves behind costs more than a minute of waiting
_LOOK_SECONDS: Final = 0.2
_AGAIN_SECONDS: Final = 1.0
_RETURN_SECONDS: Final = 60.0  #: that kubelets take to find a server again which was away
_DEPENDANTS: Final = (REPLICA_SET, POD)
_ALWAYS: Final = (
    DEPLOYMENT,
    SERVICE,
    CONFIG_MAP,
    *_DEPENDANTS,
)  #: what every drill makes; who may not look cannot sweep
_REFUSED: Final = (403, 409, 422)


@dataclass(frozen=True, slots=True)
class Found:
    """One object of a drill."""

    kind: Kind
    name: str
    drill: str
    expires: float  #: epoch seconds; 0 where it does not say
    uid: str = ""
    held_by: tuple[str, ...] = ()  #: finalizers

    def left(self, refused: str = "") -> str:
        """The same, with why it is still there."""
        if refused:
            return f"{self.text} ({refused})"
        return f"{self.text} (held by {', '.join(self.held_by)})" if self.held_by else self.text

    @property
    def text(self) -> str:
        """As a person would name it."""
        return f"{self.kind.kind} {self.name}"


def drills(kube: Kube, namespace: str) -> dict[str, list[Found]]:
    """Everything of ours in a namespace, by the id of its drill."""
    found: dict[str, list[Found]] = {}
    for each in _all(kube, namespace, DRILL, (*OURS, *_DEPENDANTS)):
        found.setdefault(each.drill, []).append(each)
    return found


def clear(
    kube: Kube,
    namespace: str,
    drill: str,
    *,
    patience_seconds: float = _PATIENCE_SECONDS,
    away_seconds: float = AWAY_SECONDS,
    away: Callable[[str], None] = lambda reason: None,
) -> list[str]:
    """Delete all objects of a drill, faults first, and wait until they are gone; blocks.

    Args:
        patience_seconds: that objects may take to go, while the server answers.
        away_seconds: that a server which does not answer is waited for.
        away: hears once why it does not.

    Returns:
        What is left all the same, in words. An object that will not go because of a finalizer of somebody else is left
        as it is: forcing it could leave its fault in the kernel.

    Raises:
        ApiError: the server does not answer, or refuses to list.
    """
    hasty, until = kube.hasty(), time.monotonic() + away_seconds
    clearing = _Clearing(hasty, namespace, drill)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            left = clearing.look()
        except ApiError as error:
            if error.status not in AWAY or time.monotonic() > until:
                raise
            if not clearing.away:
                away(f"{error}; it is waited for up to {away_seconds:g} s")
            clearing.begin_again()
            deadline = time.monotonic() + patience_seconds + _RETURN_SECONDS
            time.sleep(_AGAIN_SECONDS)
            continue
        if not left or clearing.hopeless or time.monotonic() > deadline:
            return left
        time.sleep(_LOOK_SECONDS)


class _Clearing:
    """What was asked for so far."""

    def __init__(self, kube: Kube, namespace: str, drill: str) -> None:
        self._kube, self._namespace, self._selector = kube, namespace, f"{DRILL}={drill}"
        self._asked: set[str] = set()
        self._refused: dict[str, str] = {}
        self.hopeless = False  #: the server refuses to delete any of what is there
        self.away = False  #: it did not answer, once at least

    def begin_again(self) -> None:
        """It is not known what became of the last requests: ask for everything once more."""
        self._asked.clear()
        self.away = True

    def look(self) -> list[str]:
        """Ask for the end of what is there and was not asked for yet; what is there, in words."""
        there = list(_all(self._kube, self._namespace, self._selector, (*OURS, *_DEPENDANTS)))
        # a Deployment takes its ReplicaSets with it, unless somebody's finalizer keeps it there
        controlled = any(each.kind is DEPLOYMENT and not each.held_by for each in there)
        for each in there:
            if each.uid not in self._asked and not (each.kind is REPLICA_SET and controlled):
                self._asked.add(each.uid)
                if why := _refusal(self._kube, self._namespace, each):
                    self._refused[each.uid] = why
        self.hopeless = self._refused.keys() >= {each.uid for each in there}
        return [each.left(self._refused.get(each.uid, "")) for each in there]


def _refusal(kube: Kube, namespace: str, found: Found) -> str:
    """Ask for its end; why the server refuses, empty when it does not."""
    try:
        kube.delete(found.kind, found.name, namespace, grace_seconds=1 if found.kind is POD else None)
    except ApiError as error:
        if error.status not in _REFUSED:
            raise
        return str(error)
    return ""


def _all(kube: Kube, namespace: str, selector: str, kinds: Iterable[Kind]) -> Iterable[Found]:
    for kind in kinds:
        try:
            items = kube.list(kind, namespace, labels=selector)["items"]
        except ApiError as error:
            # the cluster does not know the kind, or a drill of this account could not have made any
            if error.status == 404 or (error.status == 403 and kind not in _ALWAYS):
                continue
            raise
        for item in items:
            yield _found(kind, item)


def _found(kind: Kind, item: Object) -> Found:
    meta = item["metadata"]
    try:
        expires = float((meta.get("annotations") or {}).get(EXPIRES, 0))
    except ValueError:
        expires = 0.0
    return Found(
        kind=kind,
        name=meta["name"],
        drill=meta["labels"][DRILL],
        expires=expires,
        uid=meta["uid"],
        held_by=tuple(meta.get("finalizers") or ()),
    )


def expired(found: Iterable[Found], now: float) -> bool:
    """A drill whose time is over: its anchor says so."""
    return any(each.kind is CONFIG_MAP and 0 < each.expires < now for each in found)
