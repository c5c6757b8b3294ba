"""Where the objects of a drill are, taken down in its run directory before the first one is made; no secret is in it.

A sweep comes later, from another folder, with another current context: it must find the same cluster, and see when it
has found another one, lest it says that all is clean where nothing ever was.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from chaos.cluster.door import Door
from chaos.cluster.kinds import NAMESPACE
from chaos.cluster.kube import Kube
from chaos.cluster.settings import ClusterSettings
from chaos.local.runs import CLUSTER, Run
from chaos.world import WorldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Attributes:

    drill: its id, the value of the label of all its objects.
    uid: of the namespace; empty where that may not be read.
    kubeconfig: absolute; None in a pod.
    native: it is the native node of this machine.
    """

    drill: str
    namespace: str
    uid: str
    server: str
    kubeconfig: str | None
    context: str | None
    native: bool

    @property
    def settings(self) -> ClusterSettings:
        """What finds the cluster again."""
        context = None if self.native else self.context
        return ClusterSettings(kubeconfig=self.kubeconfig, context=context, namespace=self.namespace)

    @property
    def text(self) -> str:
        """In words."""
        return f"objects of drill {self.drill} in namespace {self.namespace} of {self.server}"

    def there(self, kube: Kube) -> bool:
        """Whether the namespace is there in which the objects were; false: it is gone, and they with it.

        Raises:
            WorldError: this is another cluster.
        """
        found = kube.get(NAMESPACE, self.namespace)
        uid = str(found["metadata"]["uid"]) if found is not None else ""
        if uid and uid == (self.uid or uid) and (self.uid or kube.server == self.server):
            return True
        if kube.server != self.server:
            raise WorldError(f"the kubeconfig leads to another cluster now, {kube.server}")
        return False


def place_of(door: Door, namespace: str, drill: str) -> Place:
    """Where a drill is about to be."""
    found = door.kube.get(NAMESPACE, namespace)
    return Place(
        drill=drill,
        namespace=namespace,
        uid=str(found["metadata"]["uid"]) if found is not None else "",
        server=door.kube.server,
        kubeconfig=door.kube.kubeconfig,
        context=door.kube.context or None,
        native=door.node is not None,
    )


def write(run: Run, place: Place) -> None:
    """Take it down."""
    temporary = run.path / f".{CLUSTER}"
    temporary.write_text(json.dumps(asdict(place)))
    temporary.rename(run.path / CLUSTER)


def read(run: Run) -> Place | None:
    """Where a run has objects in a cluster; None: it has none.

    Raises:
        WorldError: it has some, but it is not known where.
    """
    path = run.path / CLUSTER
    try:
        told = json.loads(path.read_text())
        kinds = {"native": bool, "kubeconfig": str | None, "context": str | None}
        if told.keys() != {field.name for field in fields(Place)} or told["drill"] != run.id.lower():
            raise ValueError
        if not all(isinstance(value, kinds.get(name, str)) for name, value in told.items()):
            raise ValueError
        found = Place(**told)
        _ = found.settings  # its names are names
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError):
        raise WorldError(
            f"{path} cannot be read, so it is not known where the objects of this drill are: "
            f"`rolloutlab sweep --world cluster` finds them; then remove the file"
        ) from None
    return found
