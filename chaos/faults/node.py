"""Faults of pods that are made from the side of their node, which no scenario has a word for."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from strategies.effects import Revision

NodeFaultKind: TypeAlias = Literal[
    "pod_kill",
    "container_kill",
    "pod_failure",
    "freeze",
    "partition",
    "packet_delay",
    "packet_loss",
    "http_delay",
    "http_abort",
    "cpu_stress",
    "memory_stress",
    "bandwidth",
]
#: which parameters a kind must have, and which it may have with their defaults
_PARAMETERS: Final[Mapping[NodeFaultKind, tuple[tuple[str, ...], Mapping[str, Any]]]] = {
    "pod_kill": ((), {}),
    "container_kill": ((), {}),
    "pod_failure": ((), {}),
    "freeze": ((), {}),
    "partition": ((), {}),
    "packet_delay": (("latency_seconds",), {"jitter_seconds": 0.0}),
    "packet_loss": (("loss_ratio",), {}),
    "http_delay": (
        ("latency_seconds",),
        {"jitter_seconds": 0.0, "share": 1.0, "exempt_paths": ("/readyz", "/healthz")},
    ),
    "http_abort": (("share",), {"status": 503, "exempt_paths": ("/readyz", "/healthz")}),
    "cpu_stress": ((), {"workers": 1}),
    "memory_stress": (("mib",), {}),
    "bandwidth": (("rate_kbit_per_second",), {}),
}
NODE_FAULTS: Final = tuple(_PARAMETERS)
ONE_SHOT: Final = ("pod_kill", "container_kill")  #: happen once to the pods that are there, and are not taken back
#: act in one run of a container, so that a container that was restarted is a new target; all others act in the pod
OF_CONTAINER: Final = ("freeze", "cpu_stress", "memory_stress")
_LONGEST_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFault:
    """Something happens to pods that they have no part in.

    | kind | what it does | parameters |
    |---|---|---|
    | `pod_kill` | the API deletes the pod with no grace, once | |
    | `container_kill` | SIGKILL to the container under test, once | |
    | `pod_failure` | the pod's images are replaced by one that only sleeps | |
    | `freeze` | the processes of the container stop where they are | |
    | `partition` | every packet to and from the pod is dropped | |
    | `packet_delay` | every packet that the pod sends is held | `latency_seconds`, `jitter_seconds` (each ±, uniform) |
    | `packet_loss` | this share of the packets that the pod sends is dropped | `loss_ratio` |
    | `http_delay` | a share of its HTTP requests waits | `latency_seconds`, `jitter_seconds`, `share`, `exempt_paths` |
    | `http_abort` | a share of its HTTP requests is answered with an error | `share`, `status`, `exempt_paths` |
    | `cpu_stress` | workers burn CPU inside the container's own limit | `workers` |
    | `memory_stress` | memory is taken inside the container's own limit | `mib` |
    | `bandwidth` | what the pod sends is limited to a rate | `rate_kbit_per_second` |

    A delay of packets is felt once by the handshake and once by the answer: a request over a new connection takes twice
    `latency_seconds` longer; these are real seconds, whatever the speed of the drill. Paths in `exempt_paths` (exact,
    without the query) keep the pod ready under an HTTP fault.

    Attributes:
        on: pods of which revision.
        from_seconds: scenario time at which it begins.
        from_weight: it begins when the canary's weight (0..1) first reaches this, instead.
        replicas: how many pods of each revision, the oldest first; None: all, also those that come later.
        for_seconds: scenario time after which it is taken back; None: at the end of the drill.
    """

    kind: NodeFaultKind
    on: Literal["canary", "stable", "both"] = "canary"
    from_seconds: float = 0.0
    from_weight: float | None = None
    replicas: int | None = None
    for_seconds: float | None = None
    latency_seconds: float | None = None
    jitter_seconds: float | None = None
    loss_ratio: float | None = None
    share: float | None = None
    status: int | None = None
    exempt_paths: tuple[str, ...] | None = None
    workers: int | None = None
    mib: int | None = None
    rate_kbit_per_second: int | None = None

    def __post_init__(self) -> None:
        self._check_kind()
        if self.on not in ("canary", "stable", "both"):
            raise ValueError(f"on must be canary, stable or both, got {self.on!r}")
        _within("from_seconds", self.from_seconds, 0, math.inf)
        _within("from_weight", self.from_weight, 0, 1)
        _within("replicas", self.replicas, 1, math.inf)
        _within("for_seconds", self.for_seconds, 0, math.inf, above=True)
        self._check_parameters()
        _within("latency_seconds", self.latency_seconds, 0, _LONGEST_SECONDS, above=True)
        _within("jitter_seconds", self.jitter_seconds, 0, self.latency_seconds or 0)
        _within("loss_ratio", self.loss_ratio, 0, 1, above=True)
        _within("share", self.share, 0, 1, above=True)
        _within("status", self.status, 400, 599)
        _within("workers", self.workers, 1, 256)
        _within("mib", self.mib, 1, 1 << 20)
        _within("rate_kbit_per_second", self.rate_kbit_per_second, 8, 100_000_000)
        for name in ("replicas", "status", "workers", "mib", "rate_kbit_per_second"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise ValueError(f"{name} must be a whole number, got {value!r}")
        for path in self.exempt_paths or ():
            if not path.startswith("/") or any(character <= " " for character in path):
                raise ValueError(f"exempt_paths must be paths such as /readyz, got {path!r}")

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """In whose pods it acts."""
        if self.on == "both":
            return ("stable", "canary")
        return ("canary",) if self.on == "canary" else ("stable",)

    def parameters(self) -> dict[str, Any]:
        """The parameters of its kind, defaults filled in.

        >>> NodeFault(kind="packet_delay", latency_seconds=0.2).parameters()
        {'latency_seconds': 0.2, 'jitter_seconds': 0.0}
        """
        needed, others = _PARAMETERS[self.kind]
        given = {name: getattr(self, name) for name in (*needed, *others)}
        return {name: others[name] if value is None else value for name, value in given.items()}

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.parameters().items() if value not in ((), None))
        return f"{self.kind}({told})" if told else self.kind

    def _check_kind(self) -> None:
        if self.kind not in _PARAMETERS:
            near = difflib.get_close_matches(str(self.kind), NODE_FAULTS, n=1)
            hint = f" did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown kind of fault {self.kind!r};{hint} known: {', '.join(NODE_FAULTS)}")

    def _check_parameters(self) -> None:
        needed, others = _PARAMETERS[self.kind]
        of_any = {name for kinds in _PARAMETERS.values() for name in (*kinds[0], *kinds[1])}
        for name in sorted(of_any):
            if name not in needed and name not in others and getattr(self, name) is not None:
                takes = ", ".join((*needed, *others)) or "no parameters"
                raise ValueError(f"{self.kind} has no {name}; it takes {takes}")
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"{self.kind} needs {name}")


def _within(name: str, value: float | None, lowest: float, highest: float, *, above: bool = False) -> None:
    """Check a number: in [lowest, highest], or in (lowest, highest] with `above`."""
    if value is None:
        return
    if not (lowest < value if above else lowest <= value) or not value <= highest:
        low = "above" if above else "at least"
        most = "" if math.isinf(highest) else f" and at most {highest:g}"
        raise ValueError(f"{name} must be {low} {lowest:g}{most}, got {value}")
