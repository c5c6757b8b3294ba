"""Runs one rollout on a real cluster and writes down what the API server tells of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller_cases import Act, Case, Pods
from controller_recording import Life, Recording, Row, Wish
from controller_replay import settled

from chaos.cluster.informer import Informer
from chaos.cluster.kinds import DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, SERVICE_ACCOUNT
from chaos.cluster.kube import ApiError, Kube, Object

GATE: Final = "rolloutlab/told"  #: condition that pods of template a wait for where some are to stay unready
PROBE_SECONDS: Final = 1  #: the least that a kubelet can do
QUIET_SECONDS: Final = 2.0  #: without a write, after which a rollout has come to rest
PATIENCE_SECONDS: Final = 120.0


class RecorderError(Exception):
    """The rollout could not be run, or did not come to rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where rollouts are run: a cluster, a namespace of ours, and the image of the application."""

    kube: Kube
    namespace: str
    image: str = "rolloutlab.local/app:1"

    def make(self) -> None:
        """Make the namespace, and wait until pods may be made in it."""
        self.kube.create(NAMESPACE, {"metadata": {"name": self.namespace}})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.kube.get(SERVICE_ACCOUNT, "default", self.namespace) is None:
            if time.monotonic() > deadline:
                raise RecorderError(f"namespace {self.namespace} gets no service account")
            time.sleep(0.1)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        self.kube.delete(NAMESPACE, self.namespace)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.kube.get(NAMESPACE, self.namespace) is not None:
            if time.monotonic() > deadline:
                raise RecorderError(f"namespace {self.namespace} does not go away")
            time.sleep(0.2)


@dataclass(slots=True)
class _Pod:
    life: Life
    run: str = ""  #: container id that was last seen running
    ready: bool = False
    over: bool = False


@dataclass
class Recorder:
    """One rollout; `await record()` once."""

    bench: Bench
    case: Case
    rows: list[Row] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    pods: dict[str, _Pod] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = re.sub("[^a-z0-9]+", "-", self.case.name)
        self.zero = time.monotonic()
        self.second = 0.0
        self.begun = False
        self.heard = asyncio.Event()
        self.status: Mapping[str, Any] = {}

    async def record(self) -> Recording:
        """Run the rollout and remove it again.

        Raises:
            RecorderError: it does not come to rest.
        """
        kube, space = self.bench.kube, self.bench.namespace
        labels = f"app={self.name}"
        hears = {DEPLOYMENT: self._deployment, REPLICA_SET: self._set, POD: self._pod}
        informers = [Informer(kube, kind, space, labels=labels, changed=hear) for kind, hear in hears.items()]
        try:
            for informer in informers:
                await informer.start()
            await asyncio.to_thread(
                kube.create, DEPLOYMENT, self._deployment_of(Act(template="a", replicas=self.case.replicas)), space
            )
            await self._until(self._steady, "the first pods are not ready")
            self._begin()
            for act in self.case.acts:
                if self.wishes:
                    await self._until(lambda act=act: self._due(act), f"no moment came for {act}")
                    await asyncio.sleep(act.wait)
                    await self._until(self._settled, f"the rollout does not settle before {act}")
                await self._do(act)
            await self._rest()
            if any(informer.lists != 1 for informer in informers):
                raise RecorderError(f"{self.case.name}: a watch was lost, and with it some of what happened")
            return self._recording()
        finally:
            for informer in informers:
                informer.stop()
            await asyncio.to_thread(self._remove)

    # -- what is asked for ----------------------------------------------------------------------------------------

    async def _do(self, act: Act) -> None:
        self.wishes.append(Wish(time.monotonic() - self.zero, act.template, act.replicas))
        body = self._deployment_of(act)
        await asyncio.to_thread(
            self.bench.kube.patch, DEPLOYMENT, self.name, {"spec": body["spec"]}, self.bench.namespace
        )

    def _deployment_of(self, act: Act) -> Object:
        case = self.case
        labels = {"app": self.name}
        return {
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "replicas": act.replicas,
                "minReadySeconds": case.min_ready,
                "selector": {"matchLabels": labels},
                "strategy": {"rollingUpdate": {"maxSurge": case.surge, "maxUnavailable": case.unavailable}},
                "template": {
                    "metadata": {"labels": {**labels, "template": act.template}},
                    "spec": self._pod_of(act.template, case.pods[act.template]),
                },
            },
        }  # fmt: skip

    def _pod_of(self, template: str, pods: Pods) -> Object:
        told = {"START_SECONDS": pods.start, "NOT_READY": str(pods.never).lower(), "CRASH_AFTER": pods.crash_after}
        gates = [{"conditionType": GATE}] if template == "a" and self.case.unready else None
        return {
            "readinessGates": gates,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "app",
                    "image": self.bench.image,
                    "imagePullPolicy": "Never",
                    "env": [{"name": name, "value": str(value)} for name, value in told.items()],
                    "readinessProbe": {
                        "httpGet": {"path": "/readyz", "port": 8080},
                        "periodSeconds": PROBE_SECONDS,
                        "timeoutSeconds": 5,  # a busy machine makes no pod unready
                        "failureThreshold": 30,
                    },
                }
            ],
        }

    def _tell_gates(self) -> None:
        """Let all pods of template a become ready but those that are to stay unready."""
        shut = self.case.unready
        names = sorted(self.pods)
        for name in names[: self.case.replicas - shut]:
            path = POD.path(self.bench.namespace, name, "status")
            body = {"status": {"conditions": [{"type": GATE, "status": "True"}]}}
            self.bench.kube.request("PATCH", path, body, content="application/strategic-merge-patch+json")

    # -- what is waited for ---------------------------------------------------------------------------------------

    async def _until(self, come: Any, what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not come():
                    self.heard.clear()
                    await self.heard.wait()
        except TimeoutError:
            raise RecorderError(f"{self.case.name}: {what}: {self._now()}, {self.status}") from None

    def _steady(self) -> bool:
        """All pods of template a exist, and those are ready that are to be."""
        now, wanted = self._now().get("a", (0, 0)), self.case.replicas
        return (
            now == (wanted, wanted - self.case.unready)
            and [bool(pod.run) for pod in self.pods.values()] == [True] * wanted
            and self.status.get("replicas") == wanted
            and self.status.get("availableReplicas", 0) == now[1]
        )

    def _due(self, act: Act) -> bool:
        spec, available = self._now().get(act.of, (0, 0))
        return available >= act.available and spec >= act.wanted

    def _settled(self) -> bool:
        """As far as it is known, nothing is under way but the start of pods: what an act meets is well defined."""
        if self.case.min_ready == 0:
            for template, (_, available) in self._now().items():
                ready = sum(pod.ready and not pod.over for pod in self.pods.values() if pod.life.template == template)
                if ready != available:
                    return False
        return settled(self.case, self.wishes, self.rows)

    async def _rest(self) -> None:
        """Wait until the sizes are those that are expected, and nothing more happens for a while."""
        case = self.case
        quiet = QUIET_SECONDS + case.min_ready + max(pods.start for pods in case.pods.values())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await self._until(lambda: {**dict.fromkeys(case.pods, 0), **self._sizes()} == case.ends, "no rest")
                    writes = len(self.rows)
                    await asyncio.sleep(quiet if case.stuck else QUIET_SECONDS)
                    if all(row.spec == self._sizes_at(writes)[row.template] for row in self.rows[writes:]):
                        return
        except (TimeoutError, RecorderError):
            return  # it ended elsewhere: what was heard says so, and the comparison with it

    # -- what is heard --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """From here on everything counts; what is known now is how it began."""
        old = time.monotonic() - self.zero + 0.001  # before 0 in text as well
        for pod in self.pods.values():
            pod.life.made -= old
            pod.life.events = [(at - old, what) for at, what in pod.life.events]
        self.zero, self.second = time.monotonic(), time.time() % 1
        self.rows = [Row(0.0, template, *counts) for template, counts in self._now().items()]
        self.begun = True

    def _now(self) -> dict[str, tuple[int, int]]:
        return {row.template: (row.spec, row.available) for row in self.rows}

    def _sizes(self) -> dict[str, int]:
        return {row.template: row.spec for row in self.rows}

    def _sizes_at(self, rows: int) -> dict[str, int]:
        return {row.template: row.spec for row in self.rows[:rows]}

    def _deployment(self, found: Object, deleted: bool) -> None:
        self.status = found.get("status", {})
        self.heard.set()

    def _set(self, found: Object, deleted: bool) -> None:
        template = found["metadata"]["labels"]["template"]
        counts = found["spec"]["replicas"], found.get("status", {}).get("availableReplicas", 0)
        if not deleted and self._now().get(template) != counts:
            self.rows.append(Row(time.monotonic() - self.zero, template, *counts))
            self.heard.set()

    def _pod(self, found: Object, deleted: bool) -> None:
        meta, status = found["metadata"], found.get("status", {})
        at = time.monotonic() - self.zero
        pod = self.pods.get(meta["name"])
        if pod is None:
            pod = self.pods[meta["name"]] = _Pod(Life(meta["labels"]["template"], at))
            if not self.begun and len(self.pods) == self.case.replicas and self.case.unready:
                asyncio.get_running_loop().run_in_executor(None, self._tell_gates)
        events = pod.life.events
        container = next(iter(status.get("containerStatuses", ())), {})
        if "running" in container.get("state", {}) and container["containerID"] != pod.run:
            pod.run = container["containerID"]
            events.append((at, "run"))
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))
        if ready != pod.ready and not pod.over:
            pod.ready = ready
            events.append((at, "ready" if ready else "unready"))
        if (deleted or "deletionTimestamp" in meta) and not pod.over:
            pod.over = True
            events.append((at, "ended"))
        self.heard.set()

    def _recording(self) -> Recording:
        lives = [pod.life for pod in self.pods.values()]
        return Recording(self.case.name, self.second, self.wishes, self.rows, lives)

    # -- the end --------------------------------------------------------------------------------------------------

    def _remove(self) -> None:
        """Remove the Deployment; its pods go at once."""
        self.bench.kube.delete(DEPLOYMENT, self.name, self.bench.namespace)
        self._gone()

    def _gone(self) -> None:
        """Wait until nothing of it is left."""
        kube, space = self.bench.kube, self.bench.namespace
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            left = kube.list(POD, space, labels=f"app={self.name}")["items"]
            if not left and not kube.list(REPLICA_SET, space, labels=f"app={self.name}")["items"]:
                return
            time.sleep(0.3)
        raise ApiError(0, f"{self.name}: pods do not go away")
