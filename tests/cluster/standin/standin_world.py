"""TEST EQUIPMENT: a namespace of a real node, with pods, the stand-in that acts on them, and what tests look at."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from standin_actor import NativeActor
from standin_controller import StandIn

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.native import processes
from chaos.cluster.native.node import Node
from chaos.cluster.pod import Pod, pod_of
from chaos.faults.chaos_mesh import Chaos, Delay, NetworkChaos, Selector, Target
from chaos.injectors import chaos_mesh_objects as objects
from chaos.injectors.chaos_mesh import ChaosMesh, MeshFault
from chaos.injectors.chaos_mesh_ledger import Place
from chaos.injectors.chaos_mesh_status import status_of
from chaos.injectors.native import NativeNode

IMAGE, PAUSE = "rolloutlab.local/app:1", "rolloutlab.local/pause:1"
DELAY = Delay(0.3)


def wait(true: Callable[[], bool], seconds: float) -> None:
    """Fail when something does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)


class World:
    """Pods in a namespace, and the stand-in that acts on them."""

    def __init__(self, kube: Kube, node: Node, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.actor = NativeActor(kube, NativeNode(node), PAUSE)
        self.standin = StandIn(kube, self.actor, namespace)
        self.drill = "d1"
        self.patience = 20.0

    def pods(self) -> list[Pod]:
        found = self.kube.list(POD, self.namespace, labels="rolloutlab/revision")["items"]
        return [pod_of(each) for each in sorted(found, key=lambda each: each["metadata"]["creationTimestamp"])]

    def start_pod(self, name: str, *, cpu: str = "", ready: bool = True) -> Pod:
        limits = {"resources": {"limits": {"cpu": cpu}}} if cpu else {}
        container = {
            "name": "app",
            "image": IMAGE,
            "imagePullPolicy": "Never",
            "env": [{"name": "APP_VERSION", "value": name}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5},
            **limits,
        }
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
        labels = {"rolloutlab/revision": "canary"}
        self.kube.create(POD, {"metadata": {"name": name, "labels": labels}, "spec": spec}, self.namespace)
        if ready:
            wait(lambda: self.pod(name).ready, 90)
        return self.pod(name)

    def pod(self, name: str) -> Pod:
        return next(pod for pod in self.pods() if pod.name == name)

    def injector(self, chaos: Chaos, **more: Any) -> ChaosMesh:
        place = Place(
            kube=self.kube,
            namespace=self.namespace,
            drill=self.drill,
            expires_at=more.pop("expires_at", time.time() + 300),
            owners=more.pop("owners", ()),
            engine=objects.engine(self.kube),
            patience_seconds=self.patience,
        )
        fault = MeshFault(**{"number": 0, "kind": "test", "chaos": chaos, "revisions": ("canary",), **more})
        return ChaosMesh(fault, place, self.pods)

    def target(self) -> Target:
        return Target(Selector(namespace=self.namespace, labels={"rolloutlab/revision": "canary"}))

    def network(self, action: Any = DELAY, **more: Any) -> NetworkChaos:
        return NetworkChaos(action=action, target=self.target(), duration_seconds=1, **more)

    def bearers(self) -> set[str]:
        return {pod for _, each in objects.ours(self.kube, self.namespace) for pod in status_of(each).bearers()}

    def left(self) -> list[str]:
        return [each["metadata"]["name"] for _, each in objects.ours(self.kube, self.namespace)]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 120))


def took_seconds(pod: Pod, timeout: float = 5) -> float:
    """Of one request over a new connection; infinite when there was no answer in time."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(pod.ip, 8080, timeout=timeout)
    try:
        connection.request("GET", "/", headers={"Host": "web.test"})
        connection.getresponse().read()
    except OSError:
        return float("inf")
    finally:
        connection.close()
    return time.monotonic() - began


def median_seconds(pod: Pod, number: int = 9) -> float:
    return sorted(took_seconds(pod) for _ in range(number))[number // 2]


def stressing(pod: Pod) -> int:
    """How many processes of stress-ng are in the cgroups of a container, as the machine sees them."""
    names = []
    for pid in processes.of_container(pod.container_id):
        with contextlib.suppress(OSError):
            names.append(Path(f"/proc/{pid}/comm").read_text())
    return sum(name.startswith("stress-ng") for name in names)
