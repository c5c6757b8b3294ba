"""What sweeps remove, what they leave, and what they say of it."""

from __future__ import annotations

import datetime
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import kinds, place, recovering, safety, sweeping
from chaos.cluster.door import Door
from chaos.cluster.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HTTP_ROUTE,
    LEASE,
    NAMESPACE,
    POD,
    POD_CHAOS,
    REPLICA_SET,
    SERVICE,
    Kind,
)
from chaos.cluster.kube import Kube
from chaos.cluster.settings import ClusterSettings
from chaos.cluster.testing import ApiServer, Behaviour, Store, Workloads
from chaos.local.runs import CLUSTER, Run
from chaos.world import WorldError

HERE = "drills"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "app", "image": "i"}]}}
SPECS: dict[Kind, dict[str, Any]] = {
    DEPLOYMENT: {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE},
    REPLICA_SET: {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE},
    SERVICE: {"selector": {"a": "b"}, "ports": [{"port": 80}]},
    POD: {"containers": [{"name": "app", "image": "i"}]},
}


def put(api: ApiServer, kind: Kind, name: str, drill: str | None = "d1", **meta: Any) -> dict[str, Any]:
    labels = {} if drill is None else {"rolloutlab/drill": drill}
    body: dict[str, Any] = {"metadata": {"name": name, "labels": labels, **meta}, "spec": SPECS.get(kind, {})}
    return api.store.create(kind, body, HERE)


def drill(api: ApiServer, name: str = "d1", expires: float | None = None) -> None:
    """All that a drill may have."""
    meta = {} if expires is None else {"annotations": {"rolloutlab/expires-at": str(expires)}}
    for kind in (*kinds.OURS, POD, REPLICA_SET):
        put(api, kind, f"of-{name}-{kind.plural}", name, **meta)


def hold(api: ApiServer, who: str, age_seconds: float = 0.0) -> None:
    when = datetime.datetime.fromtimestamp(api.trouble.now() - age_seconds, datetime.UTC)
    spec = {"holderIdentity": who, "renewTime": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "leaseDurationSeconds": 30}
    api.store.apply(LEASE, safety.LEASE_NAME, {"metadata": {"name": safety.LEASE_NAME}, "spec": spec}, HERE)


def settings(kubeconfig: Path, **more: Any) -> ClusterSettings:
    return ClusterSettings(kubeconfig=str(kubeconfig), namespace=HERE, **more)


# --- one drill -------------------------------------------------------------------------------------------------------


def test_all_of_a_drill_goes_and_nothing_else(api: ApiServer, kube: Kube) -> None:
    drill(api)
    drill(api, "d2")
    put(api, CONFIG_MAP, "somebody-elses", None)
    before = [name for name in api.store.names(HERE) if "d1" not in name]
    assert sweeping.clear(kube, HERE, "d1") == []
    assert api.store.names(HERE) == before
    assert len(sweeping.drills(kube, HERE)["d2"]) == len(kinds.OURS) + 2


def test_faults_are_asked_to_go_before_what_they_are_in(api: ApiServer, kube: Kube) -> None:
    drill(api)
    sweeping.clear(kube, HERE, "d1")
    asked = [each.path.split("/")[-2] for each in api.trouble.requests if each.method == "DELETE"]
    assert set(asked[:5]) == {"podchaos", "networkchaos", "httpchaos", "stresschaos", "schedules"}
    assert asked[-1] in ("pods", "replicasets")


def test_a_running_workload_is_ended_with_its_pods(tmp_path: Path) -> None:
    with ApiServer(Store({HERE: {}}), ticks=Workloads(lambda pod: Behaviour(ready_seconds=0, stop_seconds=0.3))) as api:
        labels = {"rolloutlab/drill": "d1"}
        template = {"metadata": {"labels": {**labels, "a": "b"}}, "spec": SPECS[POD]}
        body = {
            "metadata": {"name": "web", "labels": labels},
            "spec": {**SPECS[DEPLOYMENT], "replicas": 3, "template": template},
        }
        api.store.create(DEPLOYMENT, body, HERE)
        kube = Kube(str(api.kubeconfig(tmp_path / "kc")))
        while len(kube.list(POD, HERE)["items"]) < 3:
            time.sleep(0.01)
        assert sweeping.clear(kube, HERE, "d1") == []
        assert api.store.names(HERE) == [], "it was waited for until they were gone"


def test_an_orphan_replica_set_goes_as_well(api: ApiServer, kube: Kube) -> None:
    put(api, REPLICA_SET, "orphan")
    assert sweeping.clear(kube, HERE, "d1") == []


def test_pods_of_a_deployment_that_somebody_holds_go_all_the_same(tmp_path: Path) -> None:
    with ApiServer(Store({HERE: {}}), ticks=Workloads(lambda pod: Behaviour(ready_seconds=0, stop_seconds=0))) as api:
        labels = {"rolloutlab/drill": "d1"}
        template = {"metadata": {"labels": {**labels, "a": "b"}}, "spec": SPECS[POD]}
        body = {
            "metadata": {"name": "web", "labels": labels, "finalizers": ["x/y"]},
            "spec": {**SPECS[DEPLOYMENT], "replicas": 3, "template": template},
        }
        api.store.create(DEPLOYMENT, body, HERE)
        kube = Kube(str(api.kubeconfig(tmp_path / "kc")))
        while len(kube.list(POD, HERE)["items"]) < 3:
            time.sleep(0.01)
        assert sweeping.clear(kube, HERE, "d1", patience_seconds=3) == ["Deployment web (held by x/y)"]
        assert api.store.names(HERE) == ["Deployment/web"]


def test_what_a_finalizer_of_somebody_else_holds_is_left_and_said(api: ApiServer, kube: Kube) -> None:
    """Forcing it could leave its fault in the kernel."""
    put(api, POD_CHAOS, "fault", finalizers=["chaos-mesh/records"])
    put(api, CONFIG_MAP, "anchor")
    left = sweeping.clear(kube, HERE, "d1", patience_seconds=0.5)
    assert left == ["PodChaos fault (held by chaos-mesh/records)"]
    found = api.store.get(POD_CHAOS, "fault", HERE)
    assert found is not None
    assert found["metadata"]["finalizers"] == ["chaos-mesh/records"]
    assert api.trouble.count("DELETE", "podchaos") == 1, "it is asked once"
    assert not api.trouble.count("PATCH")


def test_a_finalizer_that_does_its_work_is_waited_for(api: ApiServer, kube: Kube) -> None:
    put(api, POD_CHAOS, "fault", finalizers=["chaos-mesh/records"])

    def recover() -> None:
        while "deletionTimestamp" not in (api.store.get(POD_CHAOS, "fault", HERE) or {})["metadata"]:
            time.sleep(0.01)
        time.sleep(0.3)
        api.store.patch(POD_CHAOS, "fault", {"metadata": {"finalizers": None}}, HERE)

    thread = threading.Thread(target=recover)
    thread.start()
    assert sweeping.clear(kube, HERE, "d1") == []
    thread.join()


def test_a_cluster_without_chaos_mesh_and_gateways_is_swept(api: ApiServer, kube: Kube) -> None:
    for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP):
        put(api, kind, kind.plural)
    api.trouble.missing |= {"chaos-mesh.org", "gateway.networking.k8s.io"}
    assert sweeping.clear(kube, HERE, "d1") == []
    assert api.store.names(HERE) == []


def test_a_role_that_knows_nothing_of_chaos_mesh_sweeps_the_rest(api: ApiServer, kube: Kube) -> None:
    for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP):
        put(api, kind, kind.plural)
    for plural in ("podchaos", "networkchaos", "httpchaos", "stresschaos", "schedules", "httproutes"):
        api.trouble.forbid("list", plural=plural)
    assert sweeping.clear(kube, HERE, "d1") == []
    assert api.store.names(HERE) == []


def test_who_may_not_look_for_what_every_drill_makes_cannot_say_that_it_is_gone(api: ApiServer, kube: Kube) -> None:
    put(api, DEPLOYMENT, "web")
    api.trouble.forbid("list", plural="deployments")
    with pytest.raises(WorldError, match='cannot list resource "deployments"'):
        sweeping.clear(kube, HERE, "d1")


def test_a_refused_deletion_is_said_and_the_rest_goes(api: ApiServer, kube: Kube) -> None:
    drill(api)
    api.trouble.forbid("delete", plural="services")
    began = len(api.trouble.requests)
    (left,) = sweeping.clear(kube, HERE, "d1")
    assert left.startswith("Service of-d1-services (DELETE ")
    assert 'cannot delete resource "services"' in left
    assert api.store.names(HERE) == ["Service/of-d1-services"]
    assert len(api.trouble.requests) - began < 200, "and it is not waited for"


def test_a_server_that_is_gone_is_an_error_not_a_clean_sweep(api: ApiServer, kube: Kube) -> None:
    drill(api)
    api.trouble.add(act="reset", times=None, method="DELETE")
    said: list[str] = []
    with pytest.raises(WorldError, match="is not reached"):
        sweeping.clear(kube, HERE, "d1", away_seconds=1.5, away=said.append)
    (once,) = said
    assert "is waited for up to 1.5 s" in once


def test_a_server_that_comes_back_is_asked_for_everything_again(
    api: ApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_AGAIN_SECONDS", 0.05)
    drill(api)
    api.trouble.add(act="reset", times=3, method="DELETE", after=2)
    api.trouble.add(status=503, times=2, method="GET", after=9)
    assert sweeping.clear(kube, HERE, "d1") == []


def test_a_pod_that_cannot_end_is_named(tmp_path: Path) -> None:
    with ApiServer(Store({HERE: {}}), ticks=Workloads(lambda pod: Behaviour(stop_seconds=1e9))) as api:
        found = put(api, POD, "stuck")
        api.store.patch(POD, "stuck", {"spec": {"nodeName": "n"}, "metadata": {"finalizers": ["x/y"]}}, HERE)
        kube = Kube(str(api.kubeconfig(tmp_path / "kc")))
        assert found["metadata"]["name"] == "stuck"
        assert sweeping.clear(kube, HERE, "d1", patience_seconds=0.5) == ["Pod stuck (held by x/y)"]


# --- drills that nobody looks after ----------------------------------------------------------------------------------


def test_drills_without_a_harness_are_swept_and_the_running_one_is_not_touched(
    api: ApiServer, kubeconfig: Path
) -> None:
    drill(api, "running", expires=time.time() + 900)
    drill(api, "dead", expires=time.time() + 900)
    hold(api, "running")
    before = {name: api.store.version for name in api.store.names(HERE) if "running" in name}
    (planned,) = recovering.ownerless(settings(kubeconfig))[1]
    assert planned.drill == "dead"
    assert len(planned.had) == len(kinds.OURS) + 2
    assert not any(each.writes for each in api.trouble.requests), "a plan changes nothing"
    (done,) = recovering.swept(settings(kubeconfig))
    assert (done.drill, done.left) == ("dead", ())
    assert set(api.store.names(HERE)) == {*before, f"Lease/{safety.LEASE_NAME}"}
    assert recovering.swept(settings(kubeconfig)) == []
    assert not any(each.writes and "running" in each.path for each in api.trouble.requests)


def test_a_drill_whose_lease_ran_out_is_swept_with_its_lease(api: ApiServer, kubeconfig: Path) -> None:
    drill(api, "dead", expires=time.time() + 900)
    hold(api, "dead", age_seconds=31)
    assert [each.drill for each in recovering.swept(settings(kubeconfig))] == ["dead"]
    assert api.store.names(HERE) == []


def test_a_drill_that_is_past_its_time_is_swept_although_somebody_renews_its_lease(
    api: ApiServer, kubeconfig: Path
) -> None:
    drill(api, "late", expires=time.time() - 60)
    hold(api, "late")
    assert [each.drill for each in recovering.swept(settings(kubeconfig))] == ["late"]
    assert api.store.names(HERE) == []


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_clock_that_is_wrong_sweeps_no_running_drill(api: ApiServer, kubeconfig: Path, skew: float) -> None:
    api.trouble.skew_seconds = skew
    drill(api, "running", expires=api.trouble.now() + 900)
    hold(api, "running")
    assert recovering.swept(settings(kubeconfig)) == []


@pytest.mark.parametrize("text", ["soon", "", "nan"])
def test_an_expiry_that_is_none_is_none(api: ApiServer, kubeconfig: Path, text: str) -> None:
    put(api, CONFIG_MAP, "anchor", "running", annotations={"rolloutlab/expires-at": text})
    hold(api, "running")
    assert recovering.ownerless(settings(kubeconfig))[1] == []


def test_no_sweep_in_another_cluster_than_the_pinned_one(api: ApiServer, kubeconfig: Path) -> None:
    drill(api, "dead")
    for act in (recovering.swept, recovering.stop_all, lambda s: recovering.ownerless(s)[1]):
        with pytest.raises(WorldError, match="pinned is 1-2-3"):
            act(settings(kubeconfig, identity="1-2-3"))
    assert not any(each.writes for each in api.trouble.requests)


# --- the emergency stop ----------------------------------------------------------------------------------------------


def test_the_emergency_stop_waits_for_drills_to_end_then_removes_what_is_left(api: ApiServer, kubeconfig: Path) -> None:
    drill(api, "running")
    drill(api, "dead")
    hold(api, "running")
    seen: list[bool] = []

    def ends() -> None:
        while api.store.get(CONFIG_MAP, safety.STOP, HERE) is None:
            time.sleep(0.01)
        time.sleep(0.3)
        seen.append(api.trouble.count("DELETE") == 0)
        api.store.remove(LEASE, safety.LEASE_NAME, HERE)

    thread = threading.Thread(target=ends)
    thread.start()
    done = recovering.stop_all(settings(kubeconfig))
    thread.join()
    assert seen == [True], "nothing is removed under a drill that ends by itself"
    assert {each.drill for each in done} == {"running", "dead"}
    assert api.store.names(HERE) == [f"ConfigMap/{safety.STOP}"]
    assert "allows them again" in safety.refusals(Kube(str(kubeconfig)), settings(kubeconfig))[0]


def test_a_drill_that_does_not_end_is_ended(api: ApiServer, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovering, "_STOP_SECONDS", 0.2)
    drill(api, "running")
    hold(api, "running")
    recovering.stop_all(settings(kubeconfig))
    assert api.store.names(HERE) == [f"ConfigMap/{safety.STOP}"], "its lease as well: it sees that it was lost"
    assert recovering.stop_all(settings(kubeconfig)) == []


# --- runs of this machine --------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "state")


def remember(run: Run, kube: Kube, **changes: Any) -> None:
    found = place.place_of(Door(kube), HERE, run.id.lower())
    place.write(run, found)
    told = json.loads((run.path / CLUSTER).read_text())
    (run.path / CLUSTER).write_text(json.dumps({**told, **changes}))


def test_the_objects_of_a_run_are_found_and_removed(api: ApiServer, kube: Kube, run: Run) -> None:
    drill(api, run.id.lower())
    drill(api, "other")
    hold(api, run.id.lower())
    remember(run, kube)
    assert recovering.clear_run(run) == []
    assert not [name for name in api.store.names(HERE) if "other" not in name]


def test_what_is_taken_down_is_no_secret_and_enough_from_anywhere(
    api: ApiServer, kubeconfig: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kubeconfig.parent)
    remember(run, Kube(kubeconfig.name))
    text = (run.path / CLUSTER).read_text()
    assert api.token not in text
    monkeypatch.chdir("/")
    drill(api, run.id.lower())
    assert recovering.clear_run(run) == []
    assert api.store.names(HERE) == []


def test_a_current_context_that_was_changed_since_is_not_followed(api: ApiServer, kubeconfig: Path, run: Run) -> None:
    drill(api, run.id.lower())
    remember(run, Kube(str(kubeconfig)))
    with ApiServer(Store({HERE: {}}), token=api.token) as other:
        found = json.loads(kubeconfig.read_text())
        found["contexts"].append({"name": "other", "context": {"cluster": "other", "user": "fake"}})
        found["clusters"].append({"name": "other", "cluster": {"server": other.url}})
        found["current-context"] = "other"
        kubeconfig.write_text(json.dumps(found))
        assert recovering.clear_run(run) == []
    assert api.store.names(HERE) == []


def test_another_cluster_under_the_same_name_is_not_taken_for_clean(api: ApiServer, kubeconfig: Path, run: Run) -> None:
    drill(api, run.id.lower())
    remember(run, Kube(str(kubeconfig)))
    with ApiServer(Store({HERE: {}}), token=api.token) as other:
        other.kubeconfig(kubeconfig)
        (left,) = recovering.clear_run(run)
        assert other.url in left
        assert api.url in left
        assert f"if that cluster is gone for good, remove {run.path / CLUSTER}" in left
        assert not any(each.writes for each in other.trouble.requests)


def test_a_namespace_that_was_made_anew_is_clean(api: ApiServer, kube: Kube, run: Run) -> None:
    remember(run, kube)
    api.store.remove(NAMESPACE, HERE)
    assert recovering.clear_run(run) == []
    api.store.create(NAMESPACE, {"metadata": {"name": HERE}})
    drill(api, run.id.lower())
    assert recovering.clear_run(run) == []
    assert api.store.names(HERE), "whoever uses that name now is somebody else"


def test_a_cluster_that_is_not_reached_is_left(api: ApiServer, kubeconfig: Path, run: Run) -> None:
    remember(run, Kube(str(kubeconfig)), server="http://127.0.0.1:9")
    text = json.loads(kubeconfig.read_text())
    text["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    kubeconfig.write_text(json.dumps(text))
    (left,) = recovering.clear_run(run)
    assert "http://127.0.0.1:9 is not reached" in left
    kubeconfig.unlink()
    (left,) = recovering.clear_run(run)
    assert "does not exist" in left


def test_a_run_without_a_cluster_has_nothing_there(run: Run) -> None:
    assert recovering.clear_run(run) == []


def test_a_native_node_that_is_down_took_all_with_it(kube: Kube, run: Run) -> None:
    remember(run, kube, native=True, server="https://10.0.0.1:6443")
    assert recovering.clear_run(run) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "{}",
        '{"drill": "d1"}',
        '{"drill": "d1", "namespace": "drills"}',
        "\0" * 40,
        b"\xff\xfe",
    ],
)
def test_a_record_that_cannot_be_read_is_not_taken_for_clean(run: Run, content: str | bytes) -> None:
    path = run.path / CLUSTER
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (left,) = recovering.clear_run(run)
    assert str(path) in left
    assert "rolloutlab sweep --world cluster" in left
    assert "\n" not in left


@pytest.mark.parametrize(
    ("field", "value"),
    [("drill", ""), ("drill", "other"), ("drill", "x,y!=z"), ("drill", 5), ("namespace", "a/b"), ("namespace", None),
     ("namespace", "../x"), ("kubeconfig", 5), ("kubeconfig", []), ("context", {}), ("native", "yes"), ("server", None)],
)  # fmt: skip
def test_a_record_that_was_tampered_with_deletes_nothing(
    api: ApiServer, kube: Kube, run: Run, field: str, value: Any
) -> None:
    drill(api, "other")
    remember(run, kube, **{field: value})
    before = api.store.names(HERE)
    (left,) = recovering.clear_run(run)
    assert "cannot be read" in left
    assert api.store.names(HERE) == before
    assert not any(each.writes for each in api.trouble.requests)


def test_who_may_not_read_namespaces_still_has_the_server_to_go_by(api: ApiServer, kube: Kube, run: Run) -> None:
    remember(run, kube, uid="")
    drill(api, run.id.lower())
    assert recovering.clear_run(run) == []
    assert api.store.names(HERE) == []
    remember(run, kube, uid="", server="http://elsewhere")
    drill(api, run.id.lower())
    assert "another cluster" in recovering.clear_run(run)[0]


def test_the_kinds_of_the_tests_are_those_of_drills() -> None:
    assert set(kinds.OURS) >= {DEPLOYMENT, SERVICE, CONFIG_MAP, HTTP_ROUTE, POD_CHAOS}
