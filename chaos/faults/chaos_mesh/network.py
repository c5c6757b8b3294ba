"""NetworkChaos: packets of a pod are held, lost, damaged, doubled, cut off, or let through no faster than a rate.

Without a `to` it is everything that leaves the selected pods: a new connection is delayed at its handshake and again at
its answer, so that a request takes the delay about twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from chaos.cluster.kinds import NETWORK_CHAOS, Kind
from chaos.faults.chaos_mesh.chaos import Bound
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, bounded, duration_text, number, one_of, percent_text, share

_DIRECTIONS: Final = ("to", "from", "both")
_UINT32: Final = 2**31 - 1  #: the CRD says int32


@dataclass(frozen=True, slots=True)
class Reorder:
    """This share of packets is sent at once, ahead of those that are held; in every `gap`-th packet."""

    share: float
    gap: int
    correlation: float = 0.0

    def __post_init__(self) -> None:
        share("reorder.share", self.share)
        share("reorder.correlation", self.correlation)
        number("reorder.gap", self.gap, 1)

    def spec(self) -> Spec:
        """As it stands under `delay.reorder`."""
        return {"reorder": percent_text(self.share), "correlation": percent_text(self.correlation), "gap": self.gap}


@dataclass(frozen=True, slots=True)
class Delay:
    """Every packet is held; `jitter_seconds` either way, each like the one before it in `correlation` (0..1)."""

    seconds: float
    jitter_seconds: float = 0.0
    correlation: float = 0.0
    reorder: Reorder | None = None

    def __post_init__(self) -> None:
        number("delay seconds", self.seconds, 0, 3600, above=True)
        number("jitter_seconds", self.jitter_seconds, 0, 3600)
        share("delay correlation", self.correlation)
        if duration_text(self.seconds) == "0ms":
            raise ValueError(f"a delay of {self.seconds:g} s is less than a microsecond")

    def spec(self) -> Spec:
        """The action and its field."""
        delay: Spec = {
            "latency": duration_text(self.seconds),
            "jitter": duration_text(self.jitter_seconds),
            "correlation": percent_text(self.correlation),
        }
        if self.reorder is not None:
            delay["reorder"] = self.reorder.spec()
        return {"action": "delay", "delay": delay}


@dataclass(frozen=True, slots=True)
class Share:
    """This share of packets is lost, damaged in one bit, or sent twice."""

    action: Literal["loss", "corrupt", "duplicate"]
    share: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        one_of("action", self.action, ("loss", "corrupt", "duplicate"))
        share(f"{self.action} share", self.share, above=True)
        share(f"{self.action} correlation", self.correlation)

    def spec(self) -> Spec:
        """The action and its field, which bears its name and holds a field of that name."""
        what = {self.action: percent_text(self.share), "correlation": percent_text(self.correlation)}
        return {"action": self.action, self.action: what}


@dataclass(frozen=True, slots=True)
class Partition:
    """No packet passes."""

    def spec(self) -> Spec:
        """The action."""
        return {"action": "partition"}


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """No more than a rate leaves the pod: a token bucket of `buffer_bytes`, behind it a queue of `limit_bytes`."""

    bytes_per_second: int
    limit_bytes: int = 100_000
    buffer_bytes: int = 10_000

    def __post_init__(self) -> None:
        number("bytes_per_second", self.bytes_per_second, 1)
        number("limit_bytes", self.limit_bytes, 1, _UINT32)
        number("buffer_bytes", self.buffer_bytes, 1, _UINT32)

    def spec(self) -> Spec:
        """The action and its field; `bps` are bytes."""
        what = {"rate": f"{self.bytes_per_second}bps", "limit": self.limit_bytes, "buffer": self.buffer_bytes}
        return {"action": "bandwidth", "bandwidth": what}


Action: TypeAlias = Delay | Share | Partition | Bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChaos:
    """Attributes:
    peers: pods at the other end; None: anybody.
    external: addresses or names outside the cluster at the other end; packets `to` them only, but for a partition.
    device: the interface in the selected pods; empty: all but the loopback, as Chaos Mesh finds them.
    """

    action: Action
    target: Target
    duration_seconds: float
    direction: Literal["to", "from", "both"] = "to"
    peers: Target | None = None
    external: tuple[str, ...] = ()
    device: str = ""

    def __post_init__(self) -> None:
        bounded(self.duration_seconds)
        one_of("direction", self.direction, _DIRECTIONS)
        if any(not each.strip() or " " in each for each in self.external):
            raise ValueError(f"external must hold addresses, networks or names, got {self.external}")
        if isinstance(self.action, Partition) or self.direction == "to":
            return
        if self.external:
            raise ValueError(f"external peers can only be had with direction 'to', got {self.direction!r}")
        if self.peers is None:
            raise ValueError(
                f"direction {self.direction!r} needs peers: what comes from anybody can be cut off, not shaped"
            )

    @property
    def kind(self) -> Kind:
        """See `Chaos`."""
        return NETWORK_CHAOS

    @property
    def bound(self) -> Bound:
        """See `Chaos`: it is in the network namespace of the pod, which outlives containers."""
        return "pod"

    def aimed(self, target: Target, duration_seconds: float) -> NetworkChaos:
        """See `Chaos`."""
        return replace(self, target=target, duration_seconds=duration_seconds)

    def spec(self) -> Spec:
        """See `Chaos`."""
        found = {**self.action.spec(), **self.target.spec(), "direction": self.direction}
        found["duration"] = duration_text(self.duration_seconds)
        if self.peers is not None:
            found["target"] = self.peers.spec()
        if self.external:
            found["externalTargets"] = list(self.external)
        if self.device:
            found["device"] = self.device
        return found
