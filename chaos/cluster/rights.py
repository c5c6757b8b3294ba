"""What a drill does to which objects of its namespace: one table, which `doctor` asks the server about and from which
`schedule` writes a Role, so that neither can say less than the other.

Beyond its namespace a drill only reads: Gateways where none is named, and the uid of kube-system where it is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from chaos.cluster.kinds import (
    CHAOS_SCHEDULE,
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    HTTP_CHAOS,
    HTTP_ROUTE,
    LEASE,
    NAMESPACE,
    NETWORK_CHAOS,
    POD,
    POD_CHAOS,
    REPLICA_SET,
    ROLE,
    ROLE_BINDING,
    ROLLOUT,
    SERVICE,
    SERVICE_ACCOUNT,
    STRESS_CHAOS,
    Kind,
)

Part: TypeAlias = Literal["drill", "gateway", "chaos-mesh", "argo"]
_READ: Final = ("get", "list", "watch")
_OWN: Final = (*_READ, "create", "patch", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Attributes:

    sub: a subresource such as `proxy`; empty: the object itself.
    part: what needs it: every drill, or one with a Gateway, Chaos Mesh or an Argo Rollout.
    why: what a drill does with it, as the end of a sentence.
    """

    kind: Kind
    verbs: tuple[str, ...]
    part: Part = "drill"
    sub: str = ""
    why: str

    @property
    def resource(self) -> str:
        """As a Role names it.

        >>> Right(kind=POD, verbs=("get",), sub="proxy", why="").resource
        'pods/proxy'
        """
        return f"{self.kind.plural}/{self.sub}" if self.sub else self.kind.plural

    @property
    def words(self) -> str:
        """As kubectl names it.

        >>> Right(kind=DEPLOYMENT, verbs=("get",), sub="scale", why="").words
        'deployments.apps/scale'
        """
        group = f".{self.kind.group}" if self.kind.group else ""
        return f"{self.kind.plural}{group}{'/' if self.sub else ''}{self.sub}"


RIGHTS: Final = (
    Right(kind=NAMESPACE, verbs=("get",), why="the label that allows drills is looked for"),
    Right(
        kind=LEASE, verbs=("get", "create", "update", "patch", "delete"), why="one drill at a time has the namespace"
    ),
    Right(kind=CONFIG_MAP, verbs=_OWN, why="what a drill makes belongs to a ConfigMap, and one stops all drills"),
    Right(kind=DEPLOYMENT, verbs=_OWN, why="each revision is a Deployment"),
    Right(kind=SERVICE, verbs=_OWN, why="each revision has a Service"),
    Right(kind=REPLICA_SET, verbs=_READ, why="a rollout is followed"),
    Right(kind=POD, verbs=(*_READ, "patch", "delete"), why="pods are followed, and killed by a fault"),
    Right(kind=POD, verbs=("get",), sub="log", why="it is said why a pod does not start"),
    Right(kind=POD, verbs=("get", "create"), sub="proxy", why="pods are scraped, and faults switched on"),
    Right(kind=HTTP_ROUTE, verbs=_OWN, part="gateway", why="weights are set"),
    *(
        Right(kind=kind, verbs=_OWN, part="chaos-mesh", why="faults are injected")
        for kind in (POD_CHAOS, NETWORK_CHAOS, HTTP_CHAOS, STRESS_CHAOS, CHAOS_SCHEDULE)
    ),
    Right(kind=EVENT, verbs=("list",), part="chaos-mesh", why="it is said why a fault is not injected"),
    Right(kind=ROLLOUT, verbs=_READ, part="argo", why="an Argo Rollout is watched"),
)


def needed(parts: Iterable[Part]) -> Iterator[Right]:
    """The rights that these parts of drills need."""
    wanted = {"drill", *parts}
    return (right for right in RIGHTS if right.part in wanted)


def only_reading(rights: Iterable[Right]) -> Iterator[Right]:
    """What is left of them for a drill that only observes: it holds the lease, and looks."""
    for right in rights:
        if right.kind is LEASE:
            yield right
        elif not right.sub and (verbs := tuple(verb for verb in right.verbs if verb in _READ)):
            yield replace(right, verbs=verbs)


def role(name: str, namespace: str, rights: Iterable[Right], **meta: Any) -> dict[str, Any]:
    """A Role that grants them, and nothing else, in one namespace.

    Args:
        meta: more of its metadata.
    """
    return {
        "apiVersion": ROLE.api_version,
        "kind": ROLE.kind,
        "metadata": {"name": name, "namespace": namespace, **meta},
        "rules": rules(rights),
    }


def binding(name: str, namespace: str, account: str, **meta: Any) -> dict[str, Any]:
    """What gives an account the Role of the same name.

    Args:
        account: as the server calls it: `anna`, or `system:serviceaccount:drills:runner`.
        meta: more of its metadata.
    """
    return {
        "apiVersion": ROLE_BINDING.api_version,
        "kind": ROLE_BINDING.kind,
        "metadata": {"name": name, "namespace": namespace, **meta},
        "roleRef": {"apiGroup": ROLE.group, "kind": ROLE.kind, "name": name},
        "subjects": [_subject(account)],
    }


def _subject(account: str) -> dict[str, str]:
    service = account.removeprefix("system:serviceaccount:")
    if service != account:
        namespace, _, name = service.partition(":")
        return {"kind": SERVICE_ACCOUNT.kind, "name": name, "namespace": namespace}
    return {"apiGroup": ROLE.group, "kind": "User", "name": account}


def rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Rules of a Role: resources of one API group that need the same verbs share one.

    >>> rules([Right(kind=POD, verbs=("get",), why=""), Right(kind=EVENT, verbs=("get",), why="")])
    [{'apiGroups': [''], 'resources': ['pods', 'events'], 'verbs': ['get']}]
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for right in rights:
        found.setdefault((right.kind.group, right.verbs), []).append(right.resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
        for (group, verbs), resources in found.items()
    ]
