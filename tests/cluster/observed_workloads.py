"""What a user rolls out while a drill only watches: the workload as they would write it, and the drill beside it."""

from __future__ import annotations

import json
import time
from typing import Any

from cluster_drills import Runner

SCENARIO = """
apiVersion: rolloutlab/v1
kind: Scenario
title: A workload that somebody else rolls out
horizon: 2m
slo: {latency: 2s}
service: {replicas: 3, latency: {p50: 5ms, p99: 20ms}, errorRatio: 0%}
traffic: {kind: constant, rate: 40/s}
strategies:
  rolling:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
"""


def template(version: str, **settings: object) -> dict[str, Any]:
    """Pods as a user would write them; nothing in them is ours but the image."""
    own = {"APP_POD": "metadata.name"}
    fields = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in own.items()]
    given = {"APP_HOST": "0.0.0.0", "APP_PORT": "8080", "APP_VERSION": version, "LATENCY_P50": "0.005", **settings}
    container = {
        "name": "web",
        "image": "rolloutlab.local/app:1",
        "imagePullPolicy": "Never",
        "env": [*({"name": name, "value": str(value)} for name, value in given.items()), *fields],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    }
    return {"metadata": {"labels": {"app": "web", "version": version}}, "spec": {"containers": [container]}}


def service(name: str = "web") -> dict[str, Any]:
    """The Service of the workload."""
    ports = [{"port": 80, "targetPort": 8080}]
    meta = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    return {**meta, "spec": {"selector": {"app": "web"}, "ports": ports}}


def observe(runner: Runner, cluster: Any, what: str, *words: str) -> Any:
    """Start a drill that watches `what`, with traffic to the Service `web`."""
    address = cluster.get("service", "web")["spec"]["clusterIP"] + ":80"
    asked = ("--observe-only", what, "--address", address, "-q", "-o", "json", *words)
    return runner.start("drill", str(runner.state / "web.yaml"), "--strategy", "rolling", *asked)


def after_lease(cluster: Any) -> None:
    """Until the drill is at work, and a baseline longer."""
    deadline = time.monotonic() + 60
    while "rolloutlab-drill" not in cluster.kubectl("get", "leases") and time.monotonic() < deadline:
        time.sleep(0.3)
    time.sleep(12)


def told(child: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and record of a drill."""
    out, errors = child.communicate(timeout=200)
    assert out, errors
    (record,) = json.loads(out)["drills"]
    return child.returncode, record
