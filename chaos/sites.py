"""The place of a drill, by the name of its world."""

from __future__ import annotations

from chaos.local.site import LocalSite
from chaos.site import Around, Site


def site_of(around: Around) -> Site:
    """Where a drill takes place; the Kubernetes client is loaded for a cluster only."""
    if around.plan.settings.cluster is None:
        return LocalSite(around)
    from chaos.cluster.site import ClusterSite

    return ClusterSite(around)
