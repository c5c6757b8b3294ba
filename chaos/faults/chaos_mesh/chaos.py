"""What all kinds of faults of Chaos Mesh have in common, and the object that the API server gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from chaos.cluster.kinds import Kind
from chaos.cluster.pod import DRILL, PREFIX
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, labels, object_name

EXPIRES_AT: Final = PREFIX + "expires-at"  #: label: epoch seconds after which whoever finds the object may remove it
FAULT: Final = PREFIX + "fault"  #: annotation: which fault of the drill
Bound: TypeAlias = Literal["pod", "container", "once"]


class Chaos(Protocol):
    """One fault: plain data, without a name and without an owner."""

    @property
    def kind(self) -> Kind:
        """Where the API keeps it."""
        ...

    @property
    def bound(self) -> Bound:
        """What ends it in one pod: its end, or a restart of the container; or it happens once, and has no end."""
        ...

    def aimed(self, target: Target, duration_seconds: float) -> Chaos:
        """The same at other pods, for another time."""
        ...

    def spec(self) -> Spec:
        """As it stands under `spec`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose object it is.

    Attributes:
        expires_at: epoch seconds.
        owners: owner references; the object goes with them.
    """

    name: str
    namespace: str
    drill: str
    expires_at: float
    owners: Sequence[Mapping[str, Any]] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object_name("name", self.name)
        object_name("namespace", self.namespace)
        labels("drill", {DRILL: self.drill})
        if not self.drill or not self.expires_at > 0:
            raise ValueError("an object of a drill needs the drill's id and the time at which it expires")
        for owner in self.owners:
            missing = sorted({"apiVersion", "kind", "name", "uid"} - owner.keys())
            if missing:
                raise ValueError(f"an owner reference lacks {', '.join(missing)}: {dict(owner)}")

    def metadata(self) -> Spec:
        """As it stands under `metadata`."""
        found: Spec = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {DRILL: self.drill, EXPIRES_AT: str(round(self.expires_at))},
        }
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        if self.owners:
            found["ownerReferences"] = [dict(owner) for owner in self.owners]
        return found


def manifest(chaos: Chaos, identity: Identity) -> Spec:
    """The object to create.

    Raises:
        ValueError: it selects pods outside the namespace of its drill.
    """
    spec = chaos.spec()
    strange = namespaces(spec) - {identity.namespace}
    if strange:
        where = ", ".join(sorted(strange))
        raise ValueError(
            f"{chaos.kind.kind} {identity.name} reaches into {where}; its drill stays in {identity.namespace}"
        )
    return {
        "apiVersion": chaos.kind.api_version,
        "kind": chaos.kind.kind,
        "metadata": identity.metadata(),
        "spec": spec,
    }


def namespaces(spec: object) -> set[str]:
    """Every namespace that any selector in a spec names.

    Raises:
        ValueError: a selector names none.
    """
    found: set[str] = set()
    if isinstance(spec, Mapping):
        for key, value in spec.items():
            if key == "selector" and isinstance(value, Mapping):
                named = {*value.get("namespaces", ()), *value.get("pods", {})}
                if not value.get("namespaces"):
                    raise ValueError(
                        "a selector must name its namespaces; without, it is left to the server whom it hits"
                    )
                found |= named
            else:
                found |= namespaces(value)
    elif isinstance(spec, list | tuple):
        for each in spec:
            found |= namespaces(each)
    return found
