"""StressChaos: processes that burn CPU or hold memory inside the limits of a container."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chaos.cluster.kinds import STRESS_CHAOS, Kind
from chaos.faults.chaos_mesh.chaos import Bound
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, bounded, duration_text, number, share

_WORKERS: Final = (1, 8192)


@dataclass(frozen=True, slots=True)
class Cpu:
    """So many workers, each busy for this share (0..1) of the time."""

    workers: int
    load: float = 1.0

    def __post_init__(self) -> None:
        number("cpu workers", self.workers, *_WORKERS)
        share("cpu load", self.load)

    def spec(self) -> Spec:
        """As it stands under `stressors.cpu`."""
        return {"workers": self.workers, "load": round(100 * self.load)}


@dataclass(frozen=True, slots=True)
class Memory:
    """So many workers, each holding so much; `oom_score` (-1000..1000) says whom the kernel kills first."""

    mib: float
    workers: int = 1
    oom_score: int = 0

    def __post_init__(self) -> None:
        number("memory mib", self.mib, 0, 1 << 24, above=True)
        number("memory workers", self.workers, *_WORKERS)
        number("oom_score", self.oom_score, -1000, 1000)

    def spec(self) -> Spec:
        """As it stands under `stressors.memory`; in bytes, since Chaos Mesh reads MB and MiB alike."""
        return {"workers": self.workers, "size": f"{round(self.mib * (1 << 20))}B", "oomScoreAdj": self.oom_score}


@dataclass(frozen=True, slots=True, kw_only=True)
class StressChaos:
    """Attributes:
    containers: which; none: the first of each pod.
    """

    target: Target
    duration_seconds: float
    cpu: Cpu | None = None
    memory: Memory | None = None
    containers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounded(self.duration_seconds)
        if self.cpu is None and self.memory is None:
            raise ValueError("StressChaos stresses nothing: give cpu or memory")

    @property
    def kind(self) -> Kind:
        """See `Chaos`."""
        return STRESS_CHAOS

    @property
    def bound(self) -> Bound:
        """See `Chaos`: its processes live in the container's namespaces, and die with it."""
        return "container"

    def aimed(self, target: Target, duration_seconds: float) -> StressChaos:
        """See `Chaos`."""
        return replace(self, target=target, duration_seconds=duration_seconds)

    def spec(self) -> Spec:
        """See `Chaos`; `stressors` is always there: a release of Chaos Mesh falls over without."""
        stressors = {
            name: part.spec() for name, part in (("cpu", self.cpu), ("memory", self.memory)) if part is not None
        }
        found = {**self.target.spec(), "stressors": stressors, "duration": duration_text(self.duration_seconds)}
        return {**found, "containerNames": list(self.containers)} if self.containers else found
