"""What the doctor makes of clusters of all kinds; each answers over HTTP as an API server would.

tests/cluster/test_doctor.py asks a real one.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster.doctor import examine
from chaos.cluster.settings import ClusterSettings
from chaos.finding import Finding, ready

GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
CHAOS_API = "/apis/chaos-mesh.org/v1alpha1"
SPACE = "/api/v1/namespaces/drills"


def resources(*names: str) -> dict[str, Any]:
    return {"resources": [{"name": name} for name in names]}


def manager(tag: str, filtered: str) -> dict[str, Any]:
    container = {
        "image": f"ghcr.io/chaos-mesh/chaos-mesh:{tag}",
        "env": [{"name": "ENABLE_FILTER_NAMESPACE", "value": filtered}],
    }
    other = {"spec": {"template": {"spec": {"containers": [{"image": "registry.example/other:1"}]}}}}
    return {"items": [other, {"spec": {"template": {"spec": {"containers": [container]}}}}]}


class Api:
    """An API server on loopback: `answers` by path, `refused` are (verb, resource) that the account may not."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/version": {"gitVersion": "v1.35.4"},
            "/api/v1/namespaces/kube-system": {"metadata": {"uid": "abc-1"}},
            SPACE: {"metadata": {"labels": {"rolloutlab/allowed": "true"}}, "status": {"phase": "Active"}},
            GATEWAY_API: resources("gateways", "httproutes"),
            "/api/v1/services": {"items": []},
            "/api/v1/nodes": {"items": [self.node("a", "rolloutlab.local/app:1")]},
        }
        self.refused: set[tuple[str, str]] = set()
        self.ahead_seconds = 0.0
        self.asked: list[dict[str, Any]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one segment an answer: two would wait for each other

            def do_GET(self) -> None:
                answer = api.answers.get(self.path.partition("?")[0], 404)
                self._say(answer if isinstance(answer, int) else 200, answer)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._say(201, api.reviewed(body))

            def _say(self, status: int, answer: Any) -> None:
                data = json.dumps({"message": f"no {self.path}"} if isinstance(answer, int) else answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + api.ahead_seconds)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"
        self.answers[f"{GATEWAY_API}/gateways"] = {"items": [self.gateway("web")]}
        self.answers[f"{GATEWAY_API}/namespaces/front/gateways/web"] = self.gateway("web")
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def gateway(
        self, name: str, programmed: str | None = "True", *, at: str = "127.0.0.1", why: str = ""
    ) -> dict[str, Any]:
        """One that is reached where this server is."""
        return {
            "metadata": {"name": name, "namespace": "front"},
            "spec": {"listeners": [{"protocol": "HTTP", "port": self._server.server_port}]},
            "status": {
                "conditions": [{"type": "Programmed", "status": programmed, "message": why}] if programmed else [],
                "addresses": [{"type": "IPAddress", "value": at}],
            },
        }

    @staticmethod
    def node(name: str, *images: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "status": {"images": [{"names": [image]} for image in images]}}

    def reviewed(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["kind"] == "SelfSubjectReview":
            return {"status": {"userInfo": {"username": "anna"}}}
        what = body["spec"]["resourceAttributes"]
        self.asked.append(what)
        name = what["resource"] + (f"/{what['subresource']}" if what["subresource"] else "")
        return {"status": {"allowed": (what["verb"], name) not in self.refused}}


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_other_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLLOUTLAB_NODE", str(tmp_path / "none"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


def kubeconfig(folder: Path, url: str) -> str:
    path = folder / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
    }))  # fmt: skip
    return str(path)


@pytest.fixture
def look(api: Api, tmp_path: Path) -> Any:
    path = kubeconfig(tmp_path, api.url)

    def examined(metrics_url: str = "", **given: Any) -> list[Finding]:
        return examine(ClusterSettings(kubeconfig=path, **{"namespace": "drills", **given}), metrics_url=metrics_url)

    return examined


def of(found: list[Finding], about: str) -> Finding:
    (one,) = [each for each in found if each.about == about]
    return one


def missing(found: list[Finding]) -> list[str]:
    return [one.about for one in found if one.state == "missing"]


# --- the cluster as such -----------------------------------------------------------------------------------------


def test_a_cluster_in_order(look: Any) -> None:
    found = look()
    assert ready(found)
    assert [one.about for one in found if one.state != "ok"] == [
        "identity",
        "Chaos Mesh",
        "Prometheus",
        "Argo Rollouts",
    ]
    assert of(found, "account").text == "anna"


def test_without_a_kubeconfig_one_finding_says_how_to_get_a_cluster(tmp_path: Path) -> None:
    (found,) = examine(ClusterSettings(kubeconfig=str(tmp_path / "none.yaml")))
    assert found.state == "missing"
    assert "make kind-up" in found.mend
    assert "none.yaml" in found.text


def test_a_server_that_is_away_ends_the_list(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:9")  # the discard port: nobody listens
    (found,) = examine(ClusterSettings(kubeconfig=path))
    assert (found.about, found.state) == ("API server", "missing")
    assert "kubectl" in found.mend


def test_a_server_that_refuses_the_account_says_so(api: Api, look: Any) -> None:
    api.answers["/version"] = 401
    (found,) = look()
    assert "refuses this account" in found.text
    assert "auth whoami" in found.mend


@pytest.mark.parametrize(("version", "state"), [("v1.33.0", "ok"), ("v1.36.9+k3s1", "ok"), ("v1.32.9", "warning"), ("v1.37.0", "warning"), ("two", "warning")])  # fmt: skip
def test_versions(api: Api, look: Any, version: str, state: str) -> None:
    api.answers["/version"] = {"gitVersion": version}
    assert of(look(), "API server").state == state


@pytest.mark.parametrize(("ahead", "said"), [(0.0, "about the same"), (30.0, "ahead"), (-30.0, "behind")])
def test_clocks_that_differ(api: Api, look: Any, ahead: float, said: str) -> None:
    api.ahead_seconds = ahead
    found = of(look(), "clock")
    assert (found.state, said in found.text) == ("warning" if ahead else "ok", True)
    if ahead:
        (number,) = map(int, re.findall(r"is (\d+) s", found.text))
        assert 28 <= number <= 32, "the header shows whole seconds"


def test_a_pinned_identity(api: Api, look: Any) -> None:
    assert of(look(identity="abc-1"), "identity").state == "ok"
    other = look(identity="xyz")
    assert missing(other) == ["identity"]
    assert "expected xyz" in of(other, "identity").text
    api.answers["/api/v1/namespaces/kube-system"] = 403
    assert missing(look(identity="abc-1")) == ["identity"], "what cannot be checked is not as it must be"
    assert of(look(), "identity").state == "unknown"


def test_an_identity_that_is_not_pinned_says_how(look: Any) -> None:
    assert of(look(), "identity").mend == "export ROLLOUTLAB_IDENTITY=abc-1"


# --- the namespace -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said", "mend"),
    [
        (404, "does not exist", "kubectl create namespace drills && kubectl label namespace drills rolloutlab/allowed=true"),
        ({"metadata": {}}, "lacks the label", "kubectl label namespace drills rolloutlab/allowed=true"),
        ({"metadata": {"labels": {"rolloutlab/allowed": "yes"}}}, "lacks the label", "kubectl label namespace drills rolloutlab/allowed=true"),
        ({"metadata": {}, "status": {"phase": "Terminating"}}, "is being deleted", "kubectl wait --for delete --timeout 5m namespace/drills"),
    ],
)  # fmt: skip
def test_namespaces_that_do_not_allow_drills(api: Api, look: Any, answer: Any, said: str, mend: str) -> None:
    api.answers[SPACE] = answer
    found = look()
    assert missing(found) == ["namespace"]
    assert said in of(found, "namespace").text
    assert of(found, "namespace").mend == mend


@pytest.mark.parametrize("name", ["kube-public", "production", "prod-eu", "shop-prod", "default"])
def test_namespaces_that_matter_are_refused_whatever_they_say(api: Api, look: Any, name: str) -> None:
    api.answers[f"/api/v1/namespaces/{name}"] = api.answers[SPACE]
    found = look(namespace=name)
    assert missing(found) == ["namespace"]
    assert "whatever its labels say" in of(found, "namespace").text


def test_the_stop_switch_is_seen(api: Api, look: Any) -> None:
    api.answers[f"{SPACE}/configmaps/rolloutlab-stop"] = {"metadata": {"name": "rolloutlab-stop"}}
    found = look()
    assert missing(found) == ["stop switch"]
    assert of(found, "stop switch").mend.startswith("kubectl delete configmap rolloutlab-stop --namespace drills")


def test_what_a_drill_itself_would_refuse_by_is_never_left_out(api: Api, look: Any) -> None:
    import datetime

    now = datetime.datetime.now(datetime.UTC).isoformat()
    spec = {"holderIdentity": "d-7", "leaseDurationSeconds": 30, "renewTime": now}
    api.answers["/apis/coordination.k8s.io/v1/namespaces/drills/leases/rolloutlab-drill"] = {"spec": spec}
    found = look()
    assert missing(found) == ["drill"]
    assert "d-7 is running" in of(found, "drill").text


# --- permissions -------------------------------------------------------------------------------------------------


def test_every_verb_is_asked_about_in_the_namespace(api: Api, look: Any) -> None:
    look()
    asked = {(one["verb"], one["group"], one["resource"], one["subresource"], one["namespace"]) for one in api.asked}
    assert len(asked) == len(api.asked), "each once"
    assert ("create", "apps", "deployments", "", "drills") in asked
    assert ("get", "", "pods", "proxy", "drills") in asked
    assert ("patch", "gateway.networking.k8s.io", "httproutes", "", "drills") in asked
    assert not [one for one in asked if one[1] == "chaos-mesh.org"], "it is not installed"


def test_refused_verbs_are_named_with_what_mends_them(api: Api, look: Any) -> None:
    api.refused = {("create", "deployments"), ("patch", "deployments"), ("get", "pods/proxy")}
    found = look()
    assert missing(found) == ["permissions"]
    assert of(found, "permissions").text == "refused in drills: create, patch deployments.apps; get pods/proxy"
    assert "--print-role" in of(found, "permissions").mend


def test_a_kind_that_is_installed_must_be_in_reach_because_a_sweep_looks_for_it(api: Api, look: Any) -> None:
    api.refused = {("list", "httproutes"), ("list", "podchaos")}
    assert missing(look(routing="service")) == ["permissions for the Gateway"], "Chaos Mesh is not installed"


# --- what is installed -------------------------------------------------------------------------------------------


def test_no_gateway_api(api: Api, look: Any) -> None:
    del api.answers[GATEWAY_API]
    assert of(look(), "Gateway").state == "absent"
    assert missing(look(routing="gateway")) == ["Gateway"]


@pytest.mark.parametrize(
    ("programmed", "state", "said"),
    [("True", "ok", "is programmed, at 127.0.0.1"), (None, "ok", "does not say more"), ("Unknown", "ok", "does not say more")],
)  # fmt: skip
def test_gateways(api: Api, look: Any, programmed: str | None, state: str, said: str) -> None:
    api.answers[f"{GATEWAY_API}/gateways"] = {"items": [api.gateway("web", programmed)]}
    found = of(look(), "Gateway")
    assert (found.state, said in found.text) == (state, True)


def test_a_gateway_that_does_not_work_says_why(api: Api, look: Any) -> None:
    api.answers[f"{GATEWAY_API}/gateways"] = {"items": [api.gateway("web", "False", why="no address")]}
    found = of(look(), "Gateway")
    assert (found.state, found.text) == ("warning", "front/web is not programmed: no address")
    assert found.mend == "kubectl describe gateway web --namespace front"


def test_of_several_gateways_one_must_be_named(api: Api, look: Any) -> None:
    api.answers[f"{GATEWAY_API}/gateways"] = {"items": [api.gateway("web"), api.gateway("api")]}
    found = look()
    assert missing(found) == ["Gateway address"]
    assert "front/api, front/web" in of(found, "Gateway address").text
    assert ready(look(gateway="front/web"))
    assert missing(look(gateway="front/none")) == ["Gateway address"]


def test_a_gateway_must_be_reached(api: Api, look: Any) -> None:
    assert of(look(), "Gateway address").text == f"{api.address} takes connections"
    api.answers[f"{GATEWAY_API}/gateways"] = {"items": [api.gateway("web", at="gateway.example")]}
    found = look()
    assert missing(found) == ["Gateway address"]
    assert "tells no IP address" in of(found, "Gateway address").text
    assert ready(look(address=api.address))
    found = look(address="127.0.0.1:9")  # the discard port: nobody listens
    assert missing(found) == ["Gateway address"]
    assert "nobody answers at 127.0.0.1:9" in of(found, "Gateway address").text


def test_an_account_that_may_not_look_for_gateways(api: Api, look: Any) -> None:
    api.answers[f"{GATEWAY_API}/gateways"] = api.answers[f"{GATEWAY_API}/namespaces/front/gateways/web"] = 403
    assert missing(look()) == ["Gateway address"], "the server would refuse a drill"
    assert ready(look(gateway="front/web", address=api.address)), "nothing is looked for"
    assert ready(look(routing="service")), "nobody looks"


@pytest.mark.parametrize(
    ("tag", "filtered", "note", "state", "said"),
    [
        ("v2.8.3", "true", "enabled", "ok", "v2.8.3 is installed"),
        ("v2.7.0", "true", "enabled", "warning", "older than 2.8.3"),
        ("latest", "true", "enabled", "unknown", "a version called latest"),
        ("v2.8.3", "true", "", "warning", "may not act in drills"),
        ("v2.8.3", "false", "enabled", "warning", "acts in every namespace"),
    ],
)
def test_chaos_mesh(api: Api, look: Any, tag: str, filtered: str, note: str, state: str, said: str) -> None:
    api.answers[CHAOS_API] = resources("podchaos", "networkchaos", "stresschaos", "httpchaos", "schedules")
    api.answers["/apis/apps/v1/deployments"] = manager(tag, filtered)
    api.answers[SPACE]["metadata"]["annotations"] = {"chaos-mesh.org/inject": note}
    found = look()
    (one,) = [each for each in found if each.about == "Chaos Mesh" and said in each.text]
    assert one.state == state
    assert of(found, "permissions for Chaos Mesh").state == "ok"
    if not note:
        assert one.mend == "kubectl annotate namespace drills chaos-mesh.org/inject=enabled"
        assert "Chaos Mesh" in missing(look(engine="chaos-mesh"))


def test_a_stand_in_for_chaos_mesh_says_that_it_is_one(api: Api, look: Any) -> None:
    api.answers[CHAOS_API] = resources("podchaos", "networkchaos", "stresschaos")
    crd = {"metadata": {"annotations": {"rolloutlab/engine": "stand-in"}}}
    api.answers["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/networkchaos.chaos-mesh.org"] = crd
    found = of(look(), "Chaos Mesh")
    assert (found.state, "stand-in acts for it" in found.text) == ("warning", True)


def test_chaos_mesh_without_its_controller(api: Api, look: Any) -> None:
    api.answers[CHAOS_API] = resources("podchaos", "networkchaos", "stresschaos")
    api.answers["/apis/apps/v1/deployments"] = {"items": []}
    found = of(look(), "Chaos Mesh")
    assert (found.state, "wait for ever" in found.text) == ("absent", True)


def test_a_prometheus_that_is_named_must_answer(api: Api, look: Any) -> None:
    api.answers["/api/v1/query"] = {"status": "success"}
    assert of(look(metrics_url=api.url), "Prometheus").state == "ok"
    api.answers["/api/v1/query"] = 503
    found = look(metrics_url=api.url)
    assert missing(found) == ["Prometheus"]
    assert of(found, "Prometheus").mend == f"curl '{api.url}/api/v1/query?query=vector(1)'"


def test_a_prometheus_of_the_cluster_is_found(api: Api, look: Any) -> None:
    service = {"metadata": {"name": "p", "namespace": "m"}, "spec": {"ports": [{"port": 9090}]}}
    api.answers["/api/v1/services"] = {"items": [service]}
    assert of(look(), "Prometheus").state == "absent", "a Service behind which nobody answers"
    api.answers["/api/v1/namespaces/m/services/p:9090/proxy/-/ready"] = {}
    assert "m/p answers" in of(look(), "Prometheus").text


@pytest.mark.parametrize(
    ("nodes", "state"),
    [
        ([Api.node("a", "rolloutlab.local/app:1"), Api.node("b", "rolloutlab.local/app:1")], "ok"),
        ([Api.node("a", "rolloutlab.local/app:1"), Api.node("b", "other:1")], "warning"),
        ([Api.node("a", "other:1")], "missing"),
        ([Api.node("a")], "unknown"),
        ([Api.node("a", *(f"big:{number}" for number in range(50)))], "unknown"),
        ([], "missing"),
    ],
)
def test_the_image_of_the_application(api: Api, look: Any, nodes: list[Any], state: str) -> None:
    api.answers["/api/v1/nodes"] = {"items": nodes}
    assert of(look(), "image").state == state


def test_an_image_that_nodes_can_pull_is_no_obstacle(api: Api, look: Any) -> None:
    api.answers["/api/v1/nodes"] = {"items": [api.node("a", "docker.io/library/shop:2")]}
    assert of(look(image="shop:2"), "image").state == "ok", "as containerd spells it"
    assert of(look(image="shop:3"), "image").state == "warning"


def test_what_may_not_be_read_is_unknown_and_hides_nothing(api: Api, look: Any) -> None:
    api.answers["/api/v1/nodes"] = api.answers["/api/v1/services"] = 403
    found = look()
    assert [one.about for one in found if one.state == "unknown"] == ["Prometheus", "image"]
    assert ready(found)
