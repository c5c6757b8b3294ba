"""Pods are reached straight, and through the API server where their addresses are out of reach."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from node_objects import revision

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.pod import ADMIN_PORT, PORT, pod_of
from chaos.cluster.reach import Reach
from chaos.world import WorldError


@pytest.mark.parametrize("direct", [True, False], ids=["straight", "through the API server"])
def test_metrics_are_read_and_knobs_turned(cluster: Any, direct: bool) -> None:
    cluster.apply(*revision("stable", APP_HOST="0.0.0.0", APP_PORT=8080))
    cluster.kubectl("rollout", "status", "deployment/stable", "--timeout=90s", timeout=100)
    kube = Kube(str(cluster.node.kubeconfig))
    pod = pod_of(kube.list(POD, cluster.namespace)["items"][0])

    async def work() -> None:
        reach = Reach(kube, direct=direct)
        try:
            assert b"http_requests_total" in await reach.get(pod, PORT, "/metrics", seconds=10)
            await reach.post(pod, ADMIN_PORT, "/admin/knobs", {"ERROR_RATE": 0.25}, seconds=10)
            assert json.loads(await reach.get(pod, ADMIN_PORT, "/admin/knobs", seconds=10))["ERROR_RATE"] == 0.25
            with pytest.raises(WorldError):
                await reach.get(pod, PORT, "/nothing", seconds=10)
        finally:
            await reach.close()

    asyncio.run(work())
