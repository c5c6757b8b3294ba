"""Take back what killed drills have left: on a node, and in the pods of a namespace."""

from __future__ import annotations

from chaos.cluster.kube import Kube
from chaos.injectors.native import api
from chaos.injectors.native.link import AgentLink
from chaos.injectors.native.seam import NodeSeam


async def sweep(node: NodeSeam, kube: Kube | None, namespace: str, owner: str | None) -> tuple[list[str], list[str]]:
    """Take back everything of an owner; where none is given, what nobody looks after any more.

    An image that was replaced has nobody who looks after it: without an owner it is given back in any case.

    Returns:
        What was taken back, and what could not be, in words.

    Raises:
        WorldError: the node or the API server is not reached.
    """
    link = AgentLink(node)
    try:
        done, left = await link.sweep(owner)
    finally:
        await link.close()
    if kube is not None:
        done += [f"pod_failure of pod {name}" for name in await api.restore(kube, namespace, owner)]
    return done, left
