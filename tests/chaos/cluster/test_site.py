"""A drill's place in a cluster: what it makes and clears, and what a sweep makes of it after a kill at any write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.clock import LiveClock
from chaos.cluster import safety, sweeping
from chaos.cluster import site as sites
from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, LEASE
from chaos.cluster.settings import ClusterSettings
from chaos.cluster.site import ClusterSite
from chaos.cluster.testing import ApiServer, Behaviour, Store, Traffic, Workloads
from chaos.load.config import Load
from chaos.local.runs import CLUSTER, STATE, Run, runs
from chaos.plan import Plan, Settings, Source, make
from chaos.sender import Sender
from chaos.site import Around, Target
from chaos.tail import Tail
from chaos.world import WorldError
from rolloutlab.drill import clearing

QUICK = Path(__file__).parents[1] / "drill" / "quick.yaml"
HERE = "drills"
TOKEN = "t0psecret-bearer-of-the-test"
PATIENCE = 120.0
#: Brings a site up, gives some orders and clears it, once for each line that it reads, in a child of its own.
HARNESS = """
import asyncio, os, sys
from pathlib import Path
from chaos.clock import LiveClock
from chaos.cluster.settings import ClusterSettings
from chaos.local.runs import Run
from chaos.plan import Settings, Source, make
from chaos.sender import Sender
from chaos.site import Around
from chaos.tail import Tail
from chaos.sites import site_of
from strategies.effects import AwaitAvailable

scenario, kubeconfig, state = sys.argv[1:]
cluster = ClusterSettings(kubeconfig=kubeconfig, namespace="drills")
plan = make(Source(path=scenario), "canary", Settings(cluster=cluster, state=Path(state)))

async def person(reason):
    return "nobody"

async def drill():
    run, clock = Run.create(Path(state)), LiveClock(plan.speed)
    around = Around(plan=plan, run=run, clock=clock, person=person, failed=print, tell=lambda *words, **facts: None)
    site = site_of(around)
    try:
        await site.start()
        await site.world.scale("canary", 1)
        await site.world.await_available(AwaitAvailable("canary", 1, deadline_seconds=600))
        await site.world.set_weight(0.5)
    finally:
        await site.stop()
        left = await site.clear()
    return 4 if left else 0

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os._exit(asyncio.run(drill()))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    """A cluster in memory, with a Gateway and pods."""
    store = Store({HERE: {"rolloutlab/allowed": "true"}, "infra": {}})
    workloads = Workloads(lambda pod: Behaviour(ready_seconds=0.02, stop_seconds=0.02))
    with Traffic(store) as traffic, ApiServer(store, token=TOKEN, ticks=workloads, pod=traffic.pod) as api:
        yield api


@pytest.fixture
def plan(cluster: ApiServer, tmp_path: Path) -> Plan:
    there = ClusterSettings(kubeconfig=str(cluster.kubeconfig(tmp_path / "kubeconfig")), namespace=HERE)
    found = make(Source(path=str(QUICK)), "canary", Settings(cluster=there, state=tmp_path / "state"))
    assert found.problems == ()
    return found


def place(plan: Plan, failed: Callable[[BaseException], None] = lambda error: None) -> ClusterSite:
    async def person(reason: str) -> str:
        return "nobody"

    return ClusterSite(
        Around(
            plan=plan,
            run=Run.create(plan.settings.state),
            clock=LiveClock(plan.speed),
            person=person,
            failed=failed,
            tell=lambda *words, **facts: None,
        )
    )


def nothing_left(cluster: ApiServer, state: Path) -> None:
    assert cluster.store.names(HERE) == []
    for run in runs(state):
        assert run.processes() == []
        assert run.leftovers() == []


def secrets_in(folder: Path) -> list[str]:
    """Files that hold the token."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and TOKEN.encode() in path.read_bytes():
                found.append(str(path))
    return found


async def until(true: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


# --- in order --------------------------------------------------------------------------------------------------------


def test_what_a_site_makes_it_clears_and_no_secret_is_written(cluster: ApiServer, plan: Plan) -> None:
    state = plan.settings.state
    assert state is not None
    failures: list[BaseException] = []

    async def main() -> None:
        site = place(plan, failures.append)
        await site.start()
        (run,) = runs(state)
        lease = cluster.store.get(LEASE, safety.LEASE_NAME, HERE)
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == run.id.lower()
        assert (run.path / CLUSTER).is_file()
        assert secrets_in(state) == []
        target = site.target()
        assert (target.host, target.allow) == ("127.0.0.1", ("127.0.0.1/32",))
        assert target.headers["Host"].endswith(".drills.rolloutlab.test")
        assert site.ready() == 2
        await site.stop()
        await site.stop()
        assert await site.clear() == []

    asyncio.run(main())
    assert failures == []
    nothing_left(cluster, state)


def test_traffic_to_what_is_only_observed_keeps_no_connection(cluster: ApiServer, plan: Plan) -> None:
    """Behind the address of a Service a few kept connections would stay with old pods, however many new ones there are."""
    settings = plan.settings
    assert settings.cluster is not None
    observed = replace(settings.cluster, observe="rollout/web", address="127.0.0.1:80")
    watched = replace(plan, settings=replace(settings, cluster=observed))
    for given, share in ((plan, 0.0), (watched, 1.0)):
        target = place(given).target()
        load = Sender(given, Tail(Path()), failed=print)._load(target, Path("log"), 1.0, 0)
        assert load.new_connection_share == share


def test_the_record_and_the_lease_come_before_the_first_object(cluster: ApiServer, plan: Plan) -> None:
    """Whatever is made later can be found, and nobody else makes anything meanwhile."""
    writes: list[tuple[str, bool]] = []
    state = plan.settings.state
    assert state is not None

    def wrote(number: int, request: Any) -> None:
        (run,) = runs(state)
        writes.append((request.path.split("/")[-1 if request.method == "POST" else -2], (run.path / CLUSTER).is_file()))

    cluster.trouble.on_write = wrote

    async def main() -> None:
        site = place(plan)
        await site.start()
        await site.stop()
        await site.clear()

    asyncio.run(main())
    assert [what for what, _ in writes[:3]] == ["leases", "configmaps", "deployments"]
    assert all(recorded for _, recorded in writes)
    assert writes[-1][0] == "leases", "the lease is given back last"


def test_a_site_that_another_drill_was_faster_at_makes_nothing(cluster: ApiServer, plan: Plan) -> None:
    state = plan.settings.state
    assert state is not None
    cluster.store.create(CONFIG_MAP, {"metadata": {"name": "theirs", "labels": {"rolloutlab/drill": "other"}}}, HERE)

    async def main() -> None:
        first, second = place(plan), place(plan)
        await first.start()
        made = cluster.store.names(HERE)
        with pytest.raises(WorldError, match="has begun in namespace drills meanwhile"):
            await second.start()
        await second.stop()
        assert await second.clear() == []
        assert cluster.store.names(HERE) == made, "nor clears it what is not its own"
        await first.stop()
        assert await first.clear() == []

    asyncio.run(main())
    assert cluster.store.names(HERE) == ["ConfigMap/theirs"]


def test_a_service_that_is_not_reached_from_here_says_where_to_drill(
    cluster: ApiServer, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens at the address that a Service has inside of the cluster."""
    assert plan.settings.cluster is not None
    monkeypatch.setattr(sites, "_REACH_SECONDS", 0.5)
    without = replace(plan.settings, cluster=replace(plan.settings.cluster, routing="service"))

    async def main() -> None:
        site = place(replace(plan, settings=without))
        with pytest.raises(
            WorldError, match=r"nothing listens at 127\..* port 80 as seen from here .*rolloutlab schedule"
        ):
            await site.start()
        # who balances there knows connections only: one that is kept alive would never meet a new pod
        assert sent(plan, site.target()).new_connection_share == 1.0
        await site.stop()
        assert await site.clear() == []

    asyncio.run(main())
    assert cluster.store.names(HERE) == []


def sent(plan: Plan, target: Target) -> Load:
    """What the load generator is told."""
    sender = Sender(plan, Tail(Path("unused")), failed=lambda error: None)
    return sender._load(target, Path("unused"), 0.0, 0)


def test_what_is_not_as_in_the_simulator_is_said(cluster: ApiServer, tmp_path: Path) -> None:
    """Of connections where a Service balances them; of requests that Traefik does not count where it counts."""
    kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))

    def labels(overrides: dict[str, Any] | None = None, **more: Any) -> str:
        there = ClusterSettings(kubeconfig=kubeconfig, namespace=HERE, **more)
        settings = Settings(cluster=there, state=tmp_path / "state")
        return "; ".join(make(Source(path=str(QUICK), overrides=overrides or {}), "canary", settings).labels)

    connections, uncounted = "each request brings a connection of its own", "Traefik counts a request"
    counted = {"router_metrics": "http://127.0.0.1:8082/metrics"}
    assert (connections in labels(), uncounted in labels()) == (False, False)
    assert connections in labels(routing="service")
    assert connections in labels(observe="deployment/web", address="127.0.0.1:80")
    assert uncounted in labels(**counted)
    assert uncounted not in labels({"router.noEndpoints": "uncounted"}, **counted)
    assert uncounted not in labels({"metrics.source": "pods"}, **counted)


def test_behind_a_gateway_connections_are_kept_alive(plan: Plan) -> None:
    assert sent(plan, Target(host="127.0.0.1", port=80)).new_connection_share == 0.0
    many = replace(plan, steps=((0.0, 1000.0),))
    assert sent(many, Target(host="127.0.0.1", port=80, by_connection=True)).new_connection_share == 0.4


def test_what_cannot_be_cleared_is_said_and_the_record_stays(
    cluster: ApiServer, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = plan.settings.state
    assert state is not None
    monkeypatch.setitem(sweeping.clear.__kwdefaults__, "patience_seconds", 3.0)  # type: ignore[arg-type]

    async def main() -> None:
        site = place(plan)
        await site.start()
        (deployment,) = cluster.store.all(DEPLOYMENT, HERE)
        name = deployment["metadata"]["name"]
        cluster.store.patch(DEPLOYMENT, name, {"metadata": {"finalizers": ["x/y"]}}, HERE)
        await site.stop()
        left = await site.clear()
        assert left == [f"Deployment {name} (held by x/y)"]
        cluster.store.patch(DEPLOYMENT, name, {"metadata": {"finalizers": None}}, HERE)

    asyncio.run(main())
    (run,) = runs(state)
    assert (run.path / CLUSTER).is_file()
    (run.path / "owner.json").write_text("{}")
    assert [each.left for each in clearing.swept(state)] == [()]
    nothing_left(cluster, state)


def test_a_server_that_is_gone_at_the_end_is_said_and_swept_later(
    cluster: ApiServer, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sweeping.clear.__kwdefaults__, "away_seconds", 1.0)  # type: ignore[arg-type]
    state = plan.settings.state
    assert state is not None

    async def main() -> None:
        site = place(plan)
        await site.start()
        await site.stop()
        cluster.trouble.add(act="reset", times=None)
        (left,) = await site.clear()
        assert "is not reached" in left
        assert "namespace drills" in left

    asyncio.run(main())
    (run,) = runs(state)
    (run.path / "owner.json").write_text("{}")
    ((said,),) = [each.left for each in clearing.swept(state)]
    assert "is not reached" in said
    cluster.trouble.clear()
    assert [each.left for each in clearing.swept(state)] == [()]
    nothing_left(cluster, state)


def test_a_server_that_is_away_for_a_moment_at_the_end_is_waited_for(cluster: ApiServer, plan: Plan) -> None:
    state = plan.settings.state
    assert state is not None

    async def main() -> None:
        site = place(plan)
        await site.start()
        await site.stop()
        cluster.trouble.add(act="reset", times=2)
        cluster.trouble.add(act="reset after", method="DELETE", times=3)
        assert await site.clear() == []

    asyncio.run(main())
    nothing_left(cluster, state)


@pytest.mark.parametrize("how", ["kill switch", "lease"])
def test_who_loses_the_namespace_hears_of_it_in_the_loop(
    cluster: ApiServer, plan: Plan, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(safety, "RENEW_SECONDS", 0.02)
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        assert threading.current_thread() is threading.main_thread()
        failures.append(error)

    async def main() -> None:
        site = place(plan, failed)
        await site.start()
        if how == "lease":
            cluster.store.remove(LEASE, safety.LEASE_NAME, HERE)
        else:
            cluster.store.create(CONFIG_MAP, {"metadata": {"name": safety.STOP}}, HERE)
        await until(lambda: bool(failures))
        await site.stop()
        assert await site.clear() == []

    asyncio.run(main())
    (error,) = failures
    assert isinstance(error, WorldError)
    assert ("kubectl delete configmap" if how == "kill switch" else "deleted the lease") in str(error)
    assert [name for name in cluster.store.names(HERE) if safety.STOP not in name] == []


# --- killed ----------------------------------------------------------------------------------------------------------


class Harness:
    """A process that begins drills in children of its own."""

    def __init__(self, kubeconfig: Path, state: Path) -> None:
        argv = [sys.executable, "-c", HARNESS, str(QUICK), str(kubeconfig), str(state)]
        environment = {**os.environ, STATE: str(state), "PYTHONPATH": str(Path(__file__).parents[3])}
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def begin(self) -> int:
        """The process of a new drill."""
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()
        return self._number()

    def ended(self) -> int:
        """How it ended: its exit code, or minus the signal."""
        return self._number()

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["answered", "not answered"])
def test_a_harness_that_is_killed_at_any_write_leaves_nothing_after_a_sweep(
    cluster: ApiServer, plan: Plan, tmp_path: Path, when: str
) -> None:
    """One kill after each write of its life: before its answer is heard, or as the next one is about to be done."""
    state = plan.settings.state
    assert state is not None
    harness = Harness(tmp_path / "kubeconfig", state)
    pids: list[int] = []
    counted = threading.Event()
    seen: list[str] = []
    number, kill_at = 0, 0

    def wrote(_: int, request: Any) -> None:
        nonlocal number
        number += 1
        seen.append(f"{request.method} {request.path}")
        if number == kill_at:
            assert counted.wait(PATIENCE)
            if when == "answered":
                threading.Timer(0.02, os.kill, (pids[-1], signal.SIGKILL)).start()
            else:
                os.kill(pids[-1], signal.SIGKILL)

    cluster.trouble.on_write = wrote
    try:
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            number, kill_at = 0, kill_at + 1
            seen.clear()
            counted.clear()
            pids.append(harness.begin())
            counted.set()
            code = harness.ended()
            there = cluster.store.names(HERE)
            assert secrets_in(state) == [], kill_at
            (run,) = runs(state) or (None,)
            if run is not None:
                _gone(run)
                found = clearing.swept(state)
                assert [each.left for each in found] == [()], (kill_at, there, found)
            _settled(cluster)
            assert cluster.store.names(HERE) == [], (kill_at, seen[-1:], there)
            assert runs(state) == [], kill_at
    finally:
        cluster.trouble.on_write = lambda number, request: None
        harness.close()
    assert code == 0
    assert kill_at > 12, "a drill writes more than that"


def _gone(run: Run) -> None:
    """The warden and what it started end by themselves when the harness has died."""
    deadline = time.monotonic() + PATIENCE
    while run.processes() or run.owned():
        assert time.monotonic() < deadline, "processes outlive the harness"
        time.sleep(0.02)


def _settled(cluster: ApiServer) -> None:
    """A write that was under way when the harness died is done a moment later."""
    deadline = time.monotonic() + 2.0
    while cluster.store.names(HERE) and time.monotonic() < deadline:
        time.sleep(0.02)
