"""What a drill is not let into, and what makes a running one stop."""

from __future__ import annotations

import dataclasses
import datetime
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import safety
from chaos.cluster.kinds import CONFIG_MAP, LEASE, NAMESPACE
from chaos.cluster.kube import Kube
from chaos.cluster.safety import LEASE_NAME, STOP, Hold, holder, refusals
from chaos.cluster.settings import ClusterSettings
from chaos.cluster.testing import ApiServer
from chaos.world import WorldError

PATIENCE = 60.0
HERE = "drills"


def settings(**more: Any) -> ClusterSettings:
    return ClusterSettings(**{"namespace": HERE, **more})


def lease(api: ApiServer, who: str, age_seconds: float = 0.0, lasts: int | None = 30) -> None:
    """Somebody's, as old as this by the server's clock."""
    when = datetime.datetime.fromtimestamp(api.trouble.now() - age_seconds, datetime.UTC)
    spec = {"holderIdentity": who, "renewTime": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "leaseDurationSeconds": lasts}
    api.store.remove(LEASE, LEASE_NAME, HERE)
    body = {
        "metadata": {"name": LEASE_NAME},
        "spec": {name: value for name, value in spec.items() if value is not None},
    }
    api.store.create(LEASE, body, HERE)


def owner(api: ApiServer) -> str | None:
    found = api.store.get(LEASE, LEASE_NAME, HERE)
    return None if found is None else str(found["spec"]["holderIdentity"])


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_namespace_for_drills_is_let_in(kube: Kube) -> None:
    assert refusals(kube, settings()) == []
    assert refusals(kube, settings(identity=kube.identity())) == []


@pytest.mark.parametrize(
    "name", ["default", "kube-system", "kube-public", "prod", "production", "prod-eu", "shop-prod", "shop-production"]
)
def test_namespaces_that_matter_are_never_let_in_whatever_their_label(api: ApiServer, kube: Kube, name: str) -> None:
    label = {"metadata": {"labels": {"rolloutlab/allowed": "true"}}}
    if api.store.get(NAMESPACE, name) is None:
        api.store.create(NAMESPACE, {"metadata": {"name": name}})
    api.store.patch(NAMESPACE, name, label)
    (said,) = refusals(kube, settings(namespace=name))
    assert said.startswith(f"namespace {name}: no drill runs in a namespace such as")
    assert api.trouble.requests == [], "it is not even asked about"


@pytest.mark.parametrize(
    "labels", [{}, {"rolloutlab/allowed": "false"}, {"rolloutlab/allowed": "True"}, {"rolloutlab/allowed": ""}]
)
def test_a_namespace_without_the_label_is_not_let_in(api: ApiServer, kube: Kube, labels: dict[str, str]) -> None:
    api.store.create(NAMESPACE, {"metadata": {"name": "other", "labels": labels}})
    (said,) = refusals(kube, settings(namespace="other"))
    assert (
        said == "namespace other is not for drills: `kubectl label namespace other rolloutlab/allowed=true` allows them"
    )


def test_a_namespace_that_is_not_there(kube: Kube) -> None:
    (said,) = refusals(kube, settings(namespace="nowhere"))
    assert "kubectl create namespace nowhere" in said
    assert "rolloutlab/allowed=true" in said


def test_a_namespace_that_is_being_deleted(api: ApiServer, kube: Kube) -> None:
    api.store.delete(NAMESPACE, HERE)
    (said,) = refusals(kube, settings())
    assert "is being deleted" in said


def test_another_cluster_than_the_pinned_one(kube: Kube, api: ApiServer) -> None:
    (said,) = refusals(kube, settings(identity="11111111-2222"))
    assert api.url in said
    assert "pinned is 11111111-2222" in said
    assert kube.identity() in said


def test_the_kill_switch(api: ApiServer, kube: Kube) -> None:
    api.store.create(CONFIG_MAP, {"metadata": {"name": STOP}}, HERE)
    (said,) = refusals(kube, settings())
    assert f"`kubectl delete configmap {STOP} --namespace {HERE}` allows them again" in said


def test_a_running_drill_is_named_and_a_dead_one_is_not(api: ApiServer, kube: Kube) -> None:
    lease(api, "drill-1", age_seconds=10)
    (said,) = refusals(kube, settings())
    assert "drill drill-1 is running in namespace drills" in said
    lease(api, "drill-1", age_seconds=31)
    assert refusals(kube, settings()) == []


def test_all_that_is_wrong_is_said_at_once(api: ApiServer, kube: Kube) -> None:
    api.store.patch(NAMESPACE, HERE, {"metadata": {"labels": None}})
    api.store.create(CONFIG_MAP, {"metadata": {"name": STOP}}, HERE)
    lease(api, "drill-1")
    assert len(refusals(kube, settings())) == 3


@pytest.mark.parametrize(("verb", "plural"), [("get", "namespaces"), ("get", "leases"), ("get", "configmaps")])
def test_who_may_not_look_does_not_drill(api: ApiServer, kube: Kube, verb: str, plural: str) -> None:
    api.trouble.forbid(verb, plural=plural)
    with pytest.raises(WorldError, match=f'cannot {verb} resource "{plural}"'):
        refusals(kube, settings())


# --- who has the lease -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "who"),
    [
        ({}, ""),
        (None, ""),
        ({"holderIdentity": "a"}, ""),
        ({"holderIdentity": "a", "renewTime": None}, ""),
        ({"holderIdentity": "a", "renewTime": 5}, ""),
        ({"holderIdentity": "a", "renewTime": "yesterday"}, ""),
        ({"holderIdentity": None, "renewTime": "now"}, ""),
        ({"holderIdentity": "a", "renewTime": "now"}, "a"),
        ({"holderIdentity": "a", "renewTime": "now", "leaseDurationSeconds": None}, "a"),
    ],
)
def test_leases_of_every_shape(spec: dict[str, Any] | None, who: str) -> None:
    now = time.time()
    if spec and spec.get("renewTime") == "now":
        spec = {**spec, "renewTime": datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat()}
    assert safety._holder({"spec": spec}, now) == who
    assert safety._holder(None, now) == ""


@pytest.mark.parametrize("skew", [-86_400.0, -45.0, 45.0, 86_400.0])
def test_clocks_that_differ_change_nothing(api: ApiServer, kube: Kube, skew: float) -> None:
    """This machine's clock is wrong by more than a lease lasts: a live drill is live, a dead one dead, ours is live."""
    api.trouble.skew_seconds = skew
    lease(api, "other", age_seconds=20)
    assert holder(kube, HERE) == "other"
    lease(api, "other", age_seconds=40)
    assert holder(kube, HERE) == ""
    hold = Hold(kube, HERE, "mine", lambda error: None)
    hold.take()
    found = api.store.get(LEASE, LEASE_NAME, HERE)
    assert found is not None
    renewed = datetime.datetime.fromisoformat(found["spec"]["renewTime"]).timestamp()
    assert abs(renewed - api.trouble.now()) < safety.LEASE_SECONDS / 3
    hold.release()


# --- holding it ------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that looks often, and gives up early."""
    monkeypatch.setattr(safety, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(safety, "_GIVE_UP_SECONDS", 0.5)


@dataclasses.dataclass
class Held:
    hold: Hold
    lost: list[WorldError]

    def stopped(self) -> str:
        until(lambda: bool(self.lost))
        (error,) = self.lost
        return str(error)


@pytest.fixture
def held(soon: None, kube: Kube) -> Iterator[Held]:
    lost: list[WorldError] = []
    found = Held(Hold(kube, HERE, "mine", lost.append), lost)
    found.hold.take()
    yield found
    found.hold._over.set()
    found.hold._thread.join(PATIENCE)


def test_a_lease_is_taken_renewed_and_given_back(api: ApiServer, kube: Kube, held: Held) -> None:
    assert owner(api) == "mine"
    first = api.store.get(LEASE, LEASE_NAME, HERE)
    until(lambda: (api.store.get(LEASE, LEASE_NAME, HERE) or {})["spec"]["renewTime"] > first["spec"]["renewTime"])  # type: ignore[index]
    assert holder(kube, HERE) == "mine"
    held.hold.release()
    assert owner(api) is None
    assert not held.hold._thread.is_alive()
    held.hold.release()
    assert held.lost == []


def test_a_lease_of_a_dead_drill_is_taken_and_of_a_live_one_is_not(api: ApiServer, kube: Kube) -> None:
    lease(api, "other", age_seconds=31)
    first = Hold(kube, HERE, "mine", lambda error: None)
    first.take()
    assert owner(api) == "mine"
    second = Hold(kube, HERE, "later", lambda error: None)
    with pytest.raises(WorldError, match="drill mine has begun in namespace drills meanwhile"):
        second.take()
    second.release()
    assert owner(api) == "mine", "what was never had is not given back"
    again = Hold(kube, HERE, "mine", lambda error: None)
    again.take()  # the harness that goes on with a killed one's drill
    again.release()


@pytest.mark.parametrize("dead", [False, True])
def test_of_drills_at_the_same_instant_one_gets_it(api: ApiServer, kubeconfig: Path, dead: bool) -> None:
    """All have read that the lease is free before the first one writes; the server takes one of them."""
    if dead:
        lease(api, "dead", age_seconds=60.0)
    names = [f"drill-{number}" for number in range(6)]
    holds = {name: Hold(Kube(str(kubeconfig)), HERE, name, lambda error: None) for name in names}
    together = threading.Barrier(len(names))
    outcomes: dict[str, str] = {}

    def take(name: str) -> None:
        hold = holds[name]
        original = hold._wrote

        def wrote(found: Any) -> bool:
            hold._wrote = original  # type: ignore[method-assign]
            together.wait(PATIENCE)
            return original(found)

        hold._wrote = wrote  # type: ignore[method-assign]
        try:
            hold.take()
            outcomes[name] = "has it"
        except WorldError as error:
            outcomes[name] = str(error)

    threads = [threading.Thread(target=take, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert outcomes.keys() == holds.keys()
    (winner,) = [name for name, said in outcomes.items() if said == "has it"]
    assert owner(api) == winner
    others = {said for name, said in outcomes.items() if name != winner}
    assert others == {f"drill {winner} has begun in namespace drills meanwhile"}
    for hold in holds.values():
        hold.release()
    assert owner(api) is None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_lease_that_was_written_although_its_answer_was_lost_is_ours(api: ApiServer, kube: Kube, method: str) -> None:
    if method == "PUT":
        lease(api, "dead", age_seconds=60)
    api.trouble.add(act="reset after", method=method)
    hold = Hold(kube, HERE, "mine", lambda error: None)
    hold.take()
    assert owner(api) == "mine"
    hold.release()


def test_a_lease_that_others_always_get_first_is_given_up(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(status=409, method="POST", times=None)
    with pytest.raises(WorldError, match="others are after it as well"):
        Hold(kube, HERE, "mine", lambda error: None).take()


# --- losing it -------------------------------------------------------------------------------------------------------


def test_a_lease_that_somebody_took_stops_the_drill(api: ApiServer, held: Held) -> None:
    lease(api, "other")
    assert held.stopped() == "drill other took the lease of namespace drills"
    held.hold.release()
    assert owner(api) == "other", "and stays theirs"


def test_a_lease_that_somebody_deleted_stops_the_drill(api: ApiServer, held: Held) -> None:
    api.store.remove(LEASE, LEASE_NAME, HERE)
    assert held.stopped() == "somebody deleted the lease of namespace drills"
    assert owner(api) is None


def test_a_lease_that_is_taken_between_a_look_and_a_renewal_is_not_taken_back(api: ApiServer, held: Held) -> None:
    """A harness that was asleep sees its own name, and writes after somebody else has."""
    taken = threading.Event()

    def heard(request: Any, *, watch: bool, original: Any = api.trouble.heard) -> Any:
        if request.method == "PATCH" and "leases" in request.path and not taken.is_set():
            taken.set()
            lease(api, "other")
        return original(request, watch=watch)

    api.trouble.heard = heard  # type: ignore[method-assign]
    assert held.stopped() == "drill other took the lease of namespace drills"
    assert owner(api) == "other"


def test_the_kill_switch_stops_a_running_drill(api: ApiServer, held: Held) -> None:
    api.store.create(CONFIG_MAP, {"metadata": {"name": STOP}}, HERE)
    assert "somebody stopped all drills" in held.stopped()
    held.hold.release()
    assert owner(api) is None


@pytest.mark.parametrize("trouble", [{"act": "reset"}, {"status": 503}, {"status": 403}])
def test_a_lease_that_cannot_be_renewed_stops_the_drill(api: ApiServer, held: Held, trouble: dict[str, Any]) -> None:
    api.trouble.add(times=None, **trouble)
    assert "could not be renewed" in held.stopped()


def test_it_gives_up_before_anybody_else_may_take_it() -> None:
    """The last request may have begun just before the time was over."""
    under_way = safety.RENEW_SECONDS + 2 * safety._ASK_SECONDS
    assert 0 < safety._GIVE_UP_SECONDS <= safety.LEASE_SECONDS - under_way


def test_a_short_trouble_stops_nothing(api: ApiServer, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "_GIVE_UP_SECONDS", PATIENCE)
    api.trouble.add(times=5, act="reset")
    renewed = held.hold._renewed
    until(lambda: held.hold._renewed > renewed)
    time.sleep(0.1)
    assert held.lost == []


@pytest.mark.parametrize("body", [b"{}", b'{"metadata": 1}', b'{"spec": null, "metadata": {}}'])
def test_a_lease_of_another_shape_does_not_end_the_thread_unheard(api: ApiServer, held: Held, body: bytes) -> None:
    """Else the lease would run out, and another drill would begin beside this one."""
    api.trouble.add(status=200, body=body, path="/leases/", method="GET", times=3)
    renewed = held.hold._renewed
    until(lambda: held.hold._renewed > renewed or bool(held.lost))
    assert held.hold._thread.is_alive() or held.lost


def test_who_has_given_it_back_is_told_nothing(soon: None, kube: Kube) -> None:
    """Its last look finds what `release` has done."""
    lost: list[WorldError] = []
    hold = Hold(kube, HERE, "mine", lost.append)

    def last_look(kube: Kube) -> str:
        hold._over.set()
        return "it is gone"

    hold._problem = last_look  # type: ignore[method-assign]
    hold.take()
    until(lambda: not hold._thread.is_alive())
    assert lost == []


def test_a_free_lease_is_left_to_who_has_it_meanwhile(api: ApiServer, kube: Kube) -> None:
    lease(api, "dead")
    safety.free(kube, HERE, "somebody")
    assert owner(api) == "dead"

    def heard(request: Any, *, watch: bool, original: Any = api.trouble.heard) -> Any:
        if request.method == "DELETE":
            lease(api, "new")
        return original(request, watch=watch)

    api.trouble.heard = heard  # type: ignore[method-assign]
    safety.free(kube, HERE, "dead")
    assert owner(api) == "new"
