"""Runs one Rollout on a real cluster and writes down what the API server tells of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from controller_recorder import QUIET_SECONDS, Recorder, RecorderError
from rollout_cases import Case
from rollout_recording import Moment, Recording

from chaos.cluster.informer import Informer
from chaos.cluster.kinds import POD, REPLICA_SET, ROLLOUT, SERVICE, Kind
from chaos.cluster.kube import Object

INGRESS: Final = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")


@dataclass
class RolloutRecorder(Recorder):
    """One rollout; `await record()` once."""

    case: Case
    moments: list[Moment] = field(default_factory=list)
    old_hash: str = ""
    acted: float | None = None

    async def record(self) -> Recording:
        """Run the rollout and remove it again.

        Raises:
            RecorderError: it does not come to rest.
        """
        kube, space = self.bench.kube, self.bench.namespace
        hears = {ROLLOUT: self._rollout, REPLICA_SET: self._set, POD: self._pod}
        informers = [
            Informer(kube, kind, space, labels=f"app={self.name}", changed=hear) for kind, hear in hears.items()
        ]
        try:
            for informer in informers:
                await informer.start()
            for kind, body in self._around():
                await asyncio.to_thread(kube.create, kind, body, space)
            await asyncio.to_thread(kube.create, ROLLOUT, self._rollout_of("a"), space)
            await self._until(self._steady, "the first pods are not ready")
            self._begin()
            await self._patch({"spec": {"template": self._rollout_of("b")["spec"]["template"]}})
            if (act := self.case.act) is not None:
                await self._until(lambda: self._reached(act.step), f"step {act.step} did not begin")
                await asyncio.sleep(act.wait)
                await self._act(act.kind)
            await self._rest()
            if any(informer.lists != 1 for informer in informers):
                raise RecorderError(f"{self.case.name}: a watch was lost, and with it some of what happened")
            lives = [pod.life for pod in self.pods.values()]
            return Recording(self.case.name, self.second, self.acted, self.moments, self.rows, lives)
        finally:
            for informer in informers:
                informer.stop()
            await asyncio.to_thread(self._remove)

    # -- what is asked for ----------------------------------------------------------------------------------------

    def _rollout_of(self, template: str) -> Object:
        labels = {"app": self.name, "template": template}
        pods = self._pod_of(template, self.case.pods[template])
        return self.case.manifest(self.name, {"metadata": {"labels": labels}, "spec": pods})

    def _around(self) -> list[tuple[Kind, Object]]:
        """What a router needs: two Services and an Ingress. Nothing routes; the controller writes weights all the same."""
        if self.case.routed is None:
            return []
        ports = [{"port": 80, "targetPort": 8080}]
        services = [
            {"metadata": {"name": f"{self.name}-{side}"}, "spec": {"selector": {"app": self.name}, "ports": ports}}
            for side in ("canary", "stable")
        ]
        backend = {"service": {"name": f"{self.name}-stable", "port": {"number": 80}}}
        rule = {"host": "web.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        ingress = {"metadata": {"name": self.name}, "spec": {"ingressClassName": "nginx", "rules": [rule]}}
        return [*((SERVICE, each) for each in services), (INGRESS, ingress)]

    async def _patch(self, body: Object, part: str | None = None) -> None:
        kube, path = self.bench.kube, ROLLOUT.path(self.bench.namespace, self.name, part)
        await asyncio.to_thread(kube.request, "PATCH", path, body, content="application/merge-patch+json")

    async def _act(self, kind: str) -> None:
        if kind == "abort":  # as the kubectl plugin does
            await self._patch({"status": {"abort": True}}, "status")
        else:
            await self._patch({"spec": {"template": self._rollout_of("a")["spec"]["template"]}})
        self.acted = time.monotonic() - self.zero

    # -- what is waited for ---------------------------------------------------------------------------------------

    def _steady(self) -> bool:
        """All pods of template a are ready, and the controller knows it."""
        wanted = self.case.replicas
        return (
            self._now().get("a") == (wanted, wanted)
            and [bool(pod.run) for pod in self.pods.values()] == [True] * wanted
            and self.status.get("phase") == "Healthy"
        )

    def _reached(self, step: int) -> bool:
        return bool(self.moments) and self.moments[-1].template == "b" and self.moments[-1].step >= step

    async def _rest(self) -> None:
        """Wait until the sizes are those that are expected, and nothing more happens for a while."""
        quiet = QUIET_SECONDS + self.case.min_ready + self.case.pods["b"].start
        try:
            while True:
                await self._until(lambda: {"b": 0, **self._sizes()} == self.case.ends, "no rest")
                heard = len(self.rows), len(self.moments)
                await asyncio.sleep(quiet)
                if heard == (len(self.rows), len(self.moments)):
                    return
        except RecorderError:
            return  # it ended elsewhere: what was heard says so, and the comparison with it

    # -- what is heard --------------------------------------------------------------------------------------------

    def _rollout(self, found: Object, deleted: bool) -> None:
        self.status = status = found.get("status", {})
        self.heard.set()
        if not self.begun:
            self.old_hash = status.get("currentPodHash", "")
            return
        weights = status.get("canary", {}).get("weights") or {}
        template = "a" if status.get("currentPodHash", "") == self.old_hash else "b"
        what = template, status.get("currentStepIndex", 0), self._phase(), weights.get("canary", {}).get("weight")
        if not self.moments or self.moments[-1][1:] != what:
            self.moments.append(Moment(time.monotonic() - self.zero, *what))

    def _phase(self) -> str:
        return "Aborted" if self.status.get("abort") else str(self.status.get("phase", "Unknown"))

    # -- the end --------------------------------------------------------------------------------------------------

    def _remove(self) -> None:
        """Remove the Rollout and what is around it."""
        kube, space = self.bench.kube, self.bench.namespace
        for kind, body in [*self._around(), (ROLLOUT, self._rollout_of("a"))]:
            kube.delete(kind, body["metadata"]["name"], space)
        self._gone()
