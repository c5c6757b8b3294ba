"""Whole drills in a cluster in memory: verdicts, what stops one in the middle, kills, and that nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import informer as informers
from chaos.cluster import safety, sweeping
from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, LEASE
from chaos.cluster.settings import ClusterSettings
from chaos.cluster.testing import ApiServer, Behaviour, Store, Traffic, Workloads
from chaos.lags import by_kind
from chaos.local.runs import STATE, Run, runs
from chaos.plan import Plan, Settings, Source, make
from chaos.results import DrillResult, Happening
from chaos.runner import drill
from chaos.verdict import Word
from rolloutlab.drill import clearing

pytestmark = pytest.mark.slow
QUICK = Path(__file__).parents[1] / "drill" / "quick.yaml"
HERE = "drills"
SPEED = 3.0
READY_SECONDS = 0.2  #: real time until a pod is ready
TOKEN = "t0psecret-bearer-of-the-test"
PATIENCE = 120.0


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    """A cluster in memory, with a Gateway and pods."""
    store = Store({HERE: {"rolloutlab/allowed": "true"}, "infra": {}})
    workloads = Workloads(lambda pod: Behaviour(ready_seconds=READY_SECONDS, stop_seconds=0.2))
    with Traffic(store) as traffic, ApiServer(store, token=TOKEN, ticks=workloads, pod=traffic.pod) as api:
        yield api


@pytest.fixture
def kubeconfig(cluster: ApiServer, tmp_path: Path) -> Path:
    return cluster.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def plan(kubeconfig: Path, state: Path, strategy: str = "canary", **overrides: Any) -> Plan:
    there = ClusterSettings(kubeconfig=str(kubeconfig), namespace=HERE)
    settings = Settings(cluster=there, state=state, speed=SPEED)
    found = make(Source(path=str(QUICK), overrides=overrides), strategy, settings)
    assert found.problems == ()
    return found


def nothing_left(cluster: ApiServer, state: Path) -> None:
    assert [name for name in cluster.store.names(HERE) if safety.STOP not in name] == []
    for run in runs(state):
        assert run.processes() == []
        assert run.leftovers() == []


def not_late(word: str, reasons: Sequence[str]) -> None:
    """A machine that is too busy to send and answer in time measures nothing, and says so."""
    late = word == Word.INCONCLUSIVE and any("the generator was late" in reason for reason in reasons)
    busy = word == Word.REFUSED and reasons[0].startswith("steady state")
    if late or busy:
        pytest.skip(f"the machine is too busy for drills: {'; '.join(reasons)}")


def secrets_in(folder: Path) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and TOKEN.encode() in path.read_bytes():
                found.append(str(path))
    return found


def once(kind: str, act: Callable[[], None], **facts: Any) -> Callable[[Happening], None]:
    """Does something at the first happening of a kind."""
    done: list[bool] = []

    def tell(happening: Happening) -> None:
        if happening.kind == kind and facts.items() <= happening.facts.items() and not done:
            done.append(True)
            act()

    return tell


# --- to the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["canary", "blue-green"])
def test_errors_are_detected_and_taken_back(cluster: ApiServer, kubeconfig: Path, state: Path, strategy: str) -> None:
    leaks: list[str] = []
    result = drill(plan(kubeconfig, state, strategy), tell=once("decision", lambda: leaks.extend(secrets_in(state))))
    nothing_left(cluster, state)
    not_late(result.verdict.word, result.verdict.reasons)
    assert (result.outcome, result.exit_code) == ("rolled_back", 0), result.verdict.reasons
    assert result.effect_verified is True
    by = {each.revision: each for each in result.counts}
    assert by["canary"].failed > 3
    assert by["stable"].failed < 0.01 * by["stable"].requests, (
        "one in a thousand fails: more than that has a chance of 1e-5"
    )
    # weight_off as well, unless the order falls into a long gap between two requests, where nothing can be said
    assert {"run", "start", "ready", "weight_on"} <= set(lags := by_kind(result.lags))
    assert {lag.revision for lag in lags["ready"]} == {"canary"}, "the stable pods were there before"
    assert all(READY_SECONDS * SPEED - 0.1 <= lag.seconds < 20 for lag in lags["ready"])
    assert all(0 <= lag.seconds < 20 for lag in lags["weight_on"])
    assert "join" not in lags, "pods were ready before they had a weight"
    assert leaks == secrets_in(state) == []
    assert not any(TOKEN in str(each.query) or TOKEN in each.path for each in cluster.trouble.requests)


def test_a_good_release_is_promoted(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    result = drill(plan(kubeconfig, state, **{"release.bad": "0%"}))
    nothing_left(cluster, state)
    not_late(result.verdict.word, result.verdict.reasons)
    assert result.outcome == "promoted", result.verdict.reasons


def test_a_rolling_update_goes_through(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    result = drill(plan(kubeconfig, state, "rolling"))
    nothing_left(cluster, state)
    not_late(result.verdict.word, result.verdict.reasons)
    assert result.outcome == "promoted"
    assert result.effect_verified is True
    lags = by_kind(result.lags)
    assert {lag.revision for lag in lags["ready"]} == {"canary"}
    assert {lag.revision for lag in lags["join"]} == {"canary"}
    assert "weight_on" not in lags, "nobody ordered a weight"
    if "leave" in lags:  # a pod that was never reached leaves nothing to see
        assert {lag.revision for lag in lags["leave"]} == {"stable"}


# --- stopped in the middle -------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is looked at often, and the server is missed early."""
    monkeypatch.setattr(safety, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(safety, "_GIVE_UP_SECONDS", 2.0)
    monkeypatch.setattr(informers, "WATCH_SECONDS", 1)
    monkeypatch.setitem(sweeping.clear.__kwdefaults__, "away_seconds", 2.0)  # type: ignore[arg-type]


def stopped(cluster: ApiServer, kubeconfig: Path, state: Path, act: Callable[[], None]) -> DrillResult:
    """A drill in which something happens when the canary has its first traffic."""
    result = drill(plan(kubeconfig, state), tell=once("weight_effective", act, weight=0.4))
    not_late(result.verdict.word, result.verdict.reasons)
    return result


def test_the_kill_switch_in_the_middle(soon: None, cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    def pull() -> None:
        cluster.store.create(CONFIG_MAP, {"metadata": {"name": safety.STOP}}, HERE)

    result = stopped(cluster, kubeconfig, state, pull)
    assert result.exit_code == 5
    assert any("somebody stopped all drills" in reason for reason in result.verdict.reasons), result.verdict.reasons
    nothing_left(cluster, state)
    assert cluster.store.names(HERE) == [f"ConfigMap/{safety.STOP}"]


def test_a_lease_that_is_lost_in_the_middle(soon: None, cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    def steal() -> None:
        cluster.store.patch(LEASE, safety.LEASE_NAME, {"spec": {"holderIdentity": "other"}}, HERE)

    result = stopped(cluster, kubeconfig, state, steal)
    assert result.exit_code == 5
    assert any("drill other took the lease" in reason for reason in result.verdict.reasons), result.verdict.reasons
    assert cluster.store.names(HERE) == [f"Lease/{safety.LEASE_NAME}"], "which is the other's"


def test_a_server_that_is_gone_in_the_middle(soon: None, cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    result = stopped(cluster, kubeconfig, state, lambda: cluster.trouble.add(act="reset", times=None) and None)
    assert result.exit_code == 4, "something may be left: an alarm"
    said = "; ".join([*result.verdict.reasons, *result.left])
    assert cluster.url in said
    (run,) = runs(state)
    assert run.processes() == []
    cluster.trouble.clear()
    (run.path / "owner.json").write_text("{}")
    assert [each.left for each in clearing.swept(state)] == [()]
    nothing_left(cluster, state)


def test_a_server_that_is_gone_for_a_moment_changes_nothing(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    result = stopped(cluster, kubeconfig, state, lambda: cluster.trouble.add(act="reset", times=12) and None)
    nothing_left(cluster, state)
    assert (result.outcome, result.exit_code) == ("rolled_back", 0), result.verdict.reasons


def test_an_object_that_somebody_deletes_in_the_middle(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    """The route is gone: users get no answer, and nothing of it hides behind an exit code of 0."""

    def delete() -> None:
        for each in cluster.store.all(HTTP_ROUTE, HERE):
            cluster.store.remove(HTTP_ROUTE, each["metadata"]["name"], HERE)

    result = stopped(cluster, kubeconfig, state, delete)
    nothing_left(cluster, state)
    assert result.exit_code != 0, result.verdict.reasons


# --- killed ----------------------------------------------------------------------------------------------------------


def begun(kubeconfig: Path, state: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[3])
    argv = [
        sys.executable,
        "-c",
        "from rolloutlab.cli import main; main()",
        "drill",
        str(QUICK),
        "--strategy",
        "canary",
    ]
    where = ["--world", "cluster", "--kubeconfig", str(kubeconfig), "--namespace", HERE, "--speed", f"{SPEED:g}", "-q"]
    environment = {**os.environ, STATE: str(state), "PYTHONPATH": root}
    return subprocess.Popen(
        [*argv, *where], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def killed(cluster: ApiServer, kubeconfig: Path, state: Path) -> Run:
    """A drill whose harness dies when the canary has traffic."""
    process = begun(kubeconfig, state)
    deadline = time.monotonic() + PATIENCE
    while not _has_traffic(cluster):
        if process.poll() is not None:
            assert process.stdout is not None
            pytest.skip(f"the machine is too busy for drills: {process.stdout.read()[-500:]}")
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    (run,) = runs(state)
    while run.processes():
        assert time.monotonic() < deadline, "processes outlive the harness"
        time.sleep(0.02)
    return run


def _has_traffic(cluster: ApiServer) -> bool:
    for route in cluster.store.all(HTTP_ROUTE, HERE):
        (rule,) = route["spec"]["rules"]
        if any(each["name"].endswith("canary") and each["weight"] for each in rule["backendRefs"]):
            return True
    return False


def test_what_a_killed_harness_leaves_is_swept(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    run = killed(cluster, kubeconfig, state)
    assert len(cluster.store.all(DEPLOYMENT, HERE)) == 2
    assert secrets_in(state) == []
    (found,) = clearing.orphans(state)
    assert found.run_id == run.id
    assert [each.left for each in clearing.swept(state)] == [()]
    nothing_left(cluster, state)


def test_another_harness_goes_on_where_one_was_killed(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    from chaos.runner import resume

    run = killed(cluster, kubeconfig, state)
    uids = {each["metadata"]["uid"] for each in cluster.store.all(DEPLOYMENT, HERE)}
    seen: list[set[str]] = []

    def look() -> None:
        seen.append({each["metadata"]["uid"] for each in cluster.store.all(DEPLOYMENT, HERE)})

    result = resume(run, tell=once("decision", look))
    nothing_left(cluster, state)
    not_late(result.verdict.word, result.verdict.reasons)
    assert result.outcome == "rolled_back", result.verdict.reasons
    assert seen == [uids], "nothing was made anew"


def test_a_drill_that_is_interrupted_takes_all_back(cluster: ApiServer, kubeconfig: Path, state: Path) -> None:
    process = begun(kubeconfig, state)
    deadline = time.monotonic() + PATIENCE
    while not _has_traffic(cluster) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    if process.returncode not in (130,):
        not_late(Word.REFUSED if "REFUSED" in output else "", ["steady state"])
    assert process.returncode == 130, output
    nothing_left(cluster, state)
