"""What tests of native faults need: a service of real pods, timed requests, and a look at what is left in a pod.

It runs in the network of a native node, and sees its processes from outside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chaos.cluster.kinds import DEPLOYMENT, NAMESPACE, POD
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.native import processes, rules
from chaos.cluster.native.http1 import Source, response_body
from chaos.cluster.native.injection import MARK, PREFIX, RefusedError
from chaos.cluster.pod import ALLOWED, PORT, REVISION, Pod, pod_of

_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 60.0


class Web:
    """A Deployment of the application under test in a namespace of its own: canaries of version v2."""

    def __init__(self, kube: Kube, namespace: str, image: str, *, limits: Mapping[str, str]) -> None:
        self._kube, self.namespace = kube, namespace
        container = {
            "name": "app",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "env": [
                {"name": "APP_VERSION", "value": "v2"},
                {"name": "APP_REVISION", "value": "canary"},
                {"name": "APP_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1, "failureThreshold": 3},
            "resources": {"limits": dict(limits), "requests": {"cpu": "10m", "memory": "16Mi"}},
        }
        self._labels = {"app": "web", REVISION: "canary"}
        self._deployment = {
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": self._labels},
                "template": {
                    "metadata": {"labels": self._labels},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
                },
            },
        }

    def start(self) -> None:
        """Make the namespace and the Deployment, which has no replicas yet."""
        self._kube.apply(NAMESPACE, {"metadata": {"name": self.namespace, "labels": {ALLOWED: "true"}}})
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self._kube.apply(DEPLOYMENT, self._deployment, self.namespace)
            except ApiError:  # its service account comes a moment later
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def stop(self) -> None:
        """Remove the namespace and wait until it is gone."""
        self._kube.delete(NAMESPACE, self.namespace)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._kube.get(NAMESPACE, self.namespace) is not None:
            if time.monotonic() > deadline:
                raise AssertionError(f"namespace {self.namespace} does not go")
            time.sleep(_LOOK_SECONDS)

    def pods(self) -> list[Pod]:
        """All pods, the oldest first."""
        found = self._kube.list(POD, self.namespace, labels=f"{REVISION}=canary")["items"]
        found.sort(key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))
        return [pod_of(each) for each in found]

    def scale(self, replicas: int) -> list[Pod]:
        """Have so many ready pods and no others; those."""
        self._kube.patch(DEPLOYMENT, "web", {"spec": {"replicas": replicas}}, self.namespace)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            pods = self.pods()
            if len(pods) == replicas and all(pod.ready and not pod.terminating for pod in pods):
                return pods
            if time.monotonic() > deadline:
                raise AssertionError(f"{replicas} ready pods were wanted, there are {pods}")
            time.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request; `status` 0 and no headers when no answer came in time.

    Attributes:
        connect_seconds: of the handshake; nan on a connection that was there already.
        seconds: of all.
        size: bytes of the body.
    """

    status: int
    connect_seconds: float
    seconds: float
    headers: Mapping[str, str]
    size: int = 0


class Client:
    """A connection that is kept; used for one request after the other."""

    def __init__(self, host: str, port: int = PORT) -> None:
        self._address = (host, port)
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None
        self._source: Source | None = None

    async def ask(self, path: str = "/", *, timeout_seconds: float = 5.0, keep: bool = True) -> Answer:
        """Send a request, over a new connection where there is none, and wait for its answer."""
        began = time.monotonic()
        connected = float("nan")
        try:
            async with asyncio.timeout(timeout_seconds):
                if self._writer is None or self._source is None or self._ended(self._writer):
                    self.close()
                    self._reader, self._writer = await asyncio.open_connection(*self._address)
                    self._source = Source(self._reader)
                    connected = time.monotonic() - began
                self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._address[0]}\r\n\r\n".encode())
                head = await self._source.head()
                if head is None:
                    raise ConnectionResetError("no answer")
                sink = _Sink()
                await self._source.copy(response_body(head, b"GET"), sink)  # type: ignore[arg-type]
        except (OSError, TimeoutError):
            self.close()
            return Answer(0, connected, time.monotonic() - began, {})
        if not keep or not head.keeps:
            self.close()
        lines = head.raw.decode("latin-1").split("\r\n")[1:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(head.status, connected, time.monotonic() - began, headers, sink.size)

    def _ended(self, writer: asyncio.StreamWriter) -> bool:
        """The other side has closed it while it was idle, which every pool of connections looks for."""
        return writer.is_closing() or self._reader.at_eof()

    def close(self) -> None:
        """Drop the connection."""
        if self._writer is not None:
            self._writer.close()
        self._writer = self._source = None


class _Sink:
    """Counts what is written to it."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)

    async def drain(self) -> None:
        pass


async def ask(host: str, path: str = "/", *, count: int = 1, timeout_seconds: float = 5.0) -> list[Answer]:
    """Requests over a new connection each, all at the same time."""
    asked = [Client(host).ask(path, timeout_seconds=timeout_seconds, keep=False) for _ in range(count)]
    return await asyncio.gather(*asked)


async def ask_on(host: str, path: str = "/", *, count: int, timeout_seconds: float = 5.0) -> list[Answer]:
    """Requests over one connection, one after the other."""
    client = Client(host)
    try:
        return [await client.ask(path, timeout_seconds=timeout_seconds) for _ in range(count)]
    finally:
        client.close()


async def ask_steadily(host: str, *, per_second: float, seconds: float) -> list[Answer]:
    """Requests over a new connection each, whether the earlier ones are answered or not: what users see."""
    asked = []
    for _ in range(round(per_second * seconds)):
        asked.append(asyncio.create_task(Client(host).ask(timeout_seconds=20, keep=False)))
        await asyncio.sleep(1 / per_second)
    return await asyncio.gather(*asked)


def traces(pods: Sequence[Pod]) -> list[str]:
    """Everything of ours that is in place in pods or works for them, in words; empty when nothing is left."""
    found, working = [], processes.setting(MARK)
    for pod in pods:
        members = processes.of_pod(pod.uid)
        found += [f"{pod.name}: process {pid} for {mark}" for pid, mark in working.items() if pid in members]
        for pid in members[:1]:
            try:
                found += [f"{pod.name}: rule {mark}" for mark in sorted(rules.marks(pid, PREFIX))]
                found += [f"{pod.name}: limit"] if rules.is_shaped(pid) else []
            except RefusedError as error:
                found += [f"{pod.name}: {error}"] if processes.started(pid) is not None else []
        for pid in processes.of_container(pod.container_id)[:1]:
            state = processes.cgroup(pid, "freezer") / "freezer.state"
            found += [f"{pod.name}: frozen"] if state.read_text().strip() != "THAWED" else []
    return found


def network(pod: Pod) -> dict[str, Any]:
    """The network of a pod as it is: rules, queueing, addresses and routes. Empty when it is gone."""
    pids = processes.of_pod(pod.uid)
    if not pids:
        return {}
    pid = pids[0]
    saved = [line for each in rules.families() for line in rules.within(pid, f"{each}-save").splitlines()]
    return {
        "rules": [line for line in saved if line.startswith("-A")],
        "queueing": rules.within(pid, "tc", "qdisc", "show"),
        "links": [line.split()[1:4] for line in rules.within(pid, "ip", "-o", "address").splitlines()],
        "routes": rules.within(pid, "ip", "route"),
    }
