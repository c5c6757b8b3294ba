"""Which cluster a drill goes to, and the way there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from chaos.cluster.kube import Kube
from chaos.cluster.native import node as native
from chaos.cluster.settings import ClusterSettings
from chaos.world import WorldError


@dataclass(frozen=True, slots=True)
class Door:
    """A cluster that was found; `node` is the native node when it is that one."""

    kube: Kube
    node: native.Node | None = None

    @property
    def text(self) -> str:
        """The cluster in words."""
        return "the native node" if self.node is not None else f"{self.kube.server}"


def opened(settings: ClusterSettings) -> Door:
    """Find the cluster: the kubeconfig that is named, that of the environment, the native node, kubectl's own.

    The process moves into the native node's network where that is the one, so this comes before the first thread.

    Raises:
        WorldError: there is none, or no way in.
    """
    try:
        node = native.find()
        given = settings.kubeconfig
        if node is not None and _means(node, given, settings.context):
            node.enter_network()
            return Door(Kube(str(node.kubeconfig), settings.context), node)
    except native.NodeError as error:
        raise WorldError(str(error)) from None
    return Door(Kube(given, settings.context))


def _means(node: native.Node, given: str | None, context: str | None) -> bool:
    """Is the native node meant?"""
    named = given or os.environ.get("KUBECONFIG")
    if named:
        return Path(named).resolve() == node.kubeconfig.resolve()
    return context in (None, native.CONTEXT) and "KUBERNETES_SERVICE_HOST" not in os.environ
