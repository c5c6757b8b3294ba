"""PodChaos: the pod is deleted, its containers are swapped for ones that do nothing, or a container is killed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from chaos.cluster.kinds import POD_CHAOS, Kind
from chaos.faults.chaos_mesh.chaos import Bound
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, bounded, duration_text, number, one_of

_ACTIONS: Final = ("pod-kill", "pod-failure", "container-kill")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodChaos:
    """Kills happen once, when the object is created; a failure lasts, and restarts the containers twice.

    Attributes:
        containers: which die; container-kill needs them, the other actions take the whole pod.
        grace_seconds: of pod-kill; 0 is SIGKILL.
    """

    action: Literal["pod-kill", "pod-failure", "container-kill"]
    target: Target
    duration_seconds: float
    containers: tuple[str, ...] = ()
    grace_seconds: int = 0

    def __post_init__(self) -> None:
        one_of("PodChaos action", self.action, _ACTIONS)
        bounded(self.duration_seconds)
        number("grace_seconds", self.grace_seconds, 0)
        if (self.action == "container-kill") != bool(self.containers):
            raise ValueError(
                f"containers are named for container-kill and for nothing else, got {self.containers} for {self.action}"
            )
        if self.grace_seconds and self.action != "pod-kill":
            raise ValueError(f"grace_seconds is of pod-kill, not of {self.action}")

    @property
    def kind(self) -> Kind:
        """See `Chaos`."""
        return POD_CHAOS

    @property
    def bound(self) -> Bound:
        """See `Chaos`."""
        return "pod" if self.action == "pod-failure" else "once"

    def aimed(self, target: Target, duration_seconds: float) -> PodChaos:
        """See `Chaos`."""
        return replace(self, target=target, duration_seconds=duration_seconds)

    def spec(self) -> Spec:
        """See `Chaos`."""
        found = {"action": self.action, **self.target.spec(), "duration": duration_text(self.duration_seconds)}
        if self.containers:
            found["containerNames"] = list(self.containers)
        if self.action == "pod-kill":
            found["gracePeriod"] = self.grace_seconds
        return found
