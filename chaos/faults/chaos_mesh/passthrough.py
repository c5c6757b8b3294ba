"""A kind of Chaos Mesh that has no words here: its spec goes to the server as it is, at pods that the drill chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaos.cluster.kinds import Kind
from chaos.faults.chaos_mesh.chaos import Bound
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, bounded, duration_text, one_of

GROUP: Final = "chaos-mesh.org"
#: kinds that select pods; the API keeps a kind under its name in small letters
OF_PODS: Final = (
    "BlockChaos",
    "DNSChaos",
    "HTTPChaos",
    "IOChaos",
    "JVMChaos",
    "KernelChaos",
    "NetworkChaos",
    "PodChaos",
    "StressChaos",
    "TimeChaos",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passthrough:
    """Attributes:
    name: of the kind, as `IOChaos`; kinds that act on machines or clouds are not a drill's business.
    fields: the spec but for selector, mode, value and duration, which the drill sets.
    """

    name: str
    fields: Mapping[str, Any]
    target: Target
    duration_seconds: float

    def __post_init__(self) -> None:
        one_of("kind of Chaos Mesh", self.name, OF_PODS)
        bounded(self.duration_seconds)
        set_by_us = sorted({"selector", "mode", "value", "duration"} & self.fields.keys())
        if set_by_us:
            raise ValueError(f"{self.name}: {', '.join(set_by_us)} is set by the drill; leave it out")

    @property
    def kind(self) -> Kind:
        """See `Chaos`."""
        return chaos_kind(self.name)

    @property
    def bound(self) -> Bound:
        """See `Chaos`; what is not known is taken to end with the container, and is then given anew."""
        kills = self.name == "PodChaos" and self.fields.get("action") in ("pod-kill", "container-kill")
        return "once" if kills else "container"

    def aimed(self, target: Target, duration_seconds: float) -> Passthrough:
        """See `Chaos`."""
        return Passthrough(name=self.name, fields=self.fields, target=target, duration_seconds=duration_seconds)

    def spec(self) -> Spec:
        """See `Chaos`."""
        return {**self.fields, **self.target.spec(), "duration": duration_text(self.duration_seconds)}


def chaos_kind(name: str) -> Kind:
    """Where the API keeps a kind of fault.

    >>> chaos_kind("IOChaos").path("shop")
    '/apis/chaos-mesh.org/v1alpha1/namespaces/shop/iochaos'
    """
    return Kind(GROUP, "v1alpha1", name, name.lower())
