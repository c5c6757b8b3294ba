"""The native node does what a Kubernetes node does: pods, services, exec, logs, weighted routes."""

from __future__ import annotations

import collections
import http.client
import json
import math
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from chaos.cluster.native.node import GATEWAY, GATEWAY_PORT, IP, PROMETHEUS_PORT

IMAGE = "rolloutlab.local/app:1"


def revision(name: str, **env: object) -> list[dict[str, Any]]:
    """A Deployment of two replicas of the application, and its Service."""
    downward = {"APP_POD": "metadata.name", "APP_NAMESPACE": "metadata.namespace", "APP_ADMIN_HOST": "status.podIP"}
    container = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "env": [
            {"name": "APP_VERSION", "value": name},
            {"name": "APP_REVISION", "value": name},
            {"name": "APP_ADMIN_PORT", "value": "8081"},
            *({"name": key, "value": str(value)} for key, value in env.items()),
            *({"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in downward.items()),
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
    }
    labels = {"app": "web", "rolloutlab/revision": name}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


def route(host: str, **weights: int) -> dict[str, Any]:
    """An HTTPRoute that shares a host's traffic between Services."""
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web"},
        "spec": {
            "parentRefs": [{"namespace": GATEWAY[0], "name": GATEWAY[1]}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }


def get(address: str, port: int, path: str = "/", host: str = "web.test") -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer; status 0 when there is none."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    except OSError:
        return 0, {}, ""
    finally:
        connection.close()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_a_service_of_real_pods(cluster: Any) -> None:
    cluster.apply(*revision("stable"))
    cluster.kubectl("rollout", "status", "deployment/stable", "--timeout=60s", timeout=70)
    pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in cluster.get("pods")["items"]}
    assert len(pods) == 2

    address = cluster.get("service", "stable")["spec"]["clusterIP"]
    answers: list[dict[str, str]] = []

    def both() -> bool:  # a Service learns of pods one by one, after they are ready
        answers.append(get(address, 80)[1])
        return {answer["x-pod"] for answer in answers if answer} == pods.keys()

    until(both)
    assert {answer["x-version"] for answer in answers if answer} == {"stable"}

    name, ip = next(iter(pods.items()))
    assert "chaos.app" in cluster.kubectl("exec", name, "--", "cat", "/proc/1/cmdline", timeout=20)
    assert '"admin_port": 8081' in cluster.kubectl("logs", name, timeout=20)
    series = get(ip, 8080, "/metrics")[2]
    counted = [line for line in series.splitlines() if line.startswith("http_requests_total{") and 'code="200"' in line]
    assert len(counted) == 1
    assert f'pod="{name}"' in counted[0]
    assert float(counted[0].split()[-1]) > 0
    assert get(ip, 8081, "/admin/knobs", host=f"{ip}:8081")[0] == 200
    assert get(ip, 8081, "/admin/knobs", host="web.test")[0] == 403


def test_a_route_shares_traffic_by_weight_and_takes_new_weights(cluster: Any) -> None:
    cluster.apply(*revision("stable"), *revision("canary"))
    for name in ("stable", "canary"):
        cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s", timeout=70)
    host = f"{cluster.namespace}.test"

    def seen(requests: int) -> collections.Counter[str]:
        return collections.Counter(
            get(IP, GATEWAY_PORT, host=host)[1].get("x-version", "none") for _ in range(requests)
        )

    cluster.apply(route(host, stable=80, canary=20))
    until(lambda: get(IP, GATEWAY_PORT, host=host)[0] == 200)
    time.sleep(0.5)  # of the first answers one may have come while pods were being found
    counts = seen(400)
    assert counts["none"] == 0
    # Traefik shares by smooth weighted round robin; even a random choice strays further once in 16,000 times only.
    assert abs(counts["canary"] - 80) <= 4 * math.sqrt(400 * 0.2 * 0.8), counts

    cluster.apply(route(host, stable=0, canary=100))
    until(lambda: seen(20)["stable"] == 0)
    assert seen(100) == {"canary": 100}
    cluster.apply(route(host, stable=100, canary=0))
    until(lambda: seen(20)["canary"] == 0)
    assert seen(100) == {"stable": 100}


def test_prometheus_scrapes_the_pods_that_want_it(cluster: Any) -> None:
    if not (cluster.node.folder / "conf" / "with-prometheus").exists():
        pytest.skip("this node has no Prometheus; `hack/node/up.sh --with-prometheus` starts one with it")
    quiet = revision("canary")
    del quiet[0]["spec"]["template"]["metadata"]["annotations"]
    cluster.apply(*revision("stable"), *quiet)
    for name in ("stable", "canary"):
        cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s", timeout=70)
    query = urllib.parse.urlencode({"query": f'http_requests_total{{namespace="{cluster.namespace}",job="pods"}}'})

    def seen() -> set[str]:
        answer = json.loads(get(IP, PROMETHEUS_PORT, f"/api/v1/query?{query}")[2])
        return {series["metric"]["pod"] for series in answer["data"]["result"]}

    wanted = {name for name in cluster.kubectl("get", "pods", "--output=name").split() if "stable" in name}
    until(lambda: {f"pod/{name}" for name in seen()} == wanted)


def test_an_image_that_is_not_there_is_not_looked_for_elsewhere(cluster: Any) -> None:
    stable, _ = revision("stable")
    stable["spec"]["template"]["spec"]["containers"][0]["image"] = "rolloutlab.local/none:1"
    cluster.apply(stable)

    def reasons() -> set[str]:
        found = [pod["status"].get("containerStatuses", []) for pod in cluster.get("pods")["items"]]
        return {status["state"].get("waiting", {}).get("reason", "") for statuses in found for status in statuses}

    until(lambda: reasons() == {"ErrImageNeverPull"})


def test_nothing_leads_out_of_the_node(cluster: Any) -> None:
    """The one interface beside loopback and the pods' own is a bridge without a port."""
    links = cluster.node.command(["ip", "-oneline", "link"])
    said = subprocess.run(links, capture_output=True, text=True, check=True).stdout
    names = {line.split(": ")[1].split("@")[0] for line in said.splitlines()}
    assert {name for name in names if not name.startswith("veth")} == {"lo", "node0"}
    with pytest.raises(OSError, match=r".*"):
        http.client.HTTPConnection("192.0.2.1", 80, timeout=1).connect()
