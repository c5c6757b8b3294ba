"""What Traefik exports about the backends of an HTTPRoute, read as series of the two revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chaos.cluster.objects import Drilled
from chaos.metrics.answers import Families
from strategies.metrics.series import NAME

TARGET: Final = "router"
FAMILIES: Final = Families(
    "traefik_service_requests_total", "revision", "code", "traefik_service_request_duration_seconds_bucket"
)


def revision_series(drilled: Drilled, labels: Mapping[str, str]) -> Mapping[str, str] | None:
    """The labels of a sample with the revision whose Service it counts; None for what is not of this drill.

    Traefik names a backend after its route, its Gateway and at its end its Service: `…-svc-<namespace>-<Service>-<n>`.
    """
    if not labels.get(NAME, "").startswith("traefik_service_"):
        return None
    service = labels.get("service", "")
    for revision in ("stable", "canary"):
        if f"-svc-{drilled.namespace}-{drilled.named(revision)}-" in service:
            kept = {name: value for name, value in labels.items() if name not in ("service", "protocol")}
            return {**kept, "revision": revision}
    return None
