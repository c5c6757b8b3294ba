"""What `schedule` prints, as a real API server takes it; and such Jobs, run in the cluster to their end.

The Jobs need the image of the runner: hack/node/up.sh --with-runner.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from cluster_drills import left_of_drills
from ruamel.yaml import YAML

from chaos.cluster.native import node as native
from rolloutlab.cli import main
from scenarios.library import names

ROUTED = ("--gateway", "/".join(native.GATEWAY), "--address", f"{native.IP}:{native.GATEWAY_PORT}")
NAME = "chaos-half-canary"


def scheduled(cluster: Any, *words: str) -> list[dict[str, Any]]:
    """The objects of a schedule in the namespace of the test."""
    wanted = ["schedule", *words, "--namespace", cluster.namespace]
    if "--cron" not in words:
        wanted += ["--cron", "0 10 * * 2", "--timezone", "Europe/Berlin"]
    done = CliRunner().invoke(main, wanted)
    assert done.exit_code == 0, done.output
    return list(YAML(typ="safe").load_all(done.stdout))


def dry_run(cluster: Any, objects: list[dict[str, Any]]) -> str:
    """What the server says of them, without making them."""
    given = {"apiVersion": "v1", "kind": "List", "items": objects}
    found: str = cluster.kubectl("apply", "--dry-run=server", "--filename=-", given=given)
    return found


# --- taken by the server -----------------------------------------------------------------------------------------


def test_the_server_takes_all_objects(cluster: Any) -> None:
    for more in (ROUTED, ("--routing", "service")):
        said = dry_run(cluster, scheduled(cluster, "errors-5pct", "--strategy", "canary", *more))
        assert len(said.splitlines()) == 6
        assert said.count("created (server dry run)") == 6


def test_the_server_takes_every_shipped_scenario(cluster: Any) -> None:
    from scenarios.library import find
    from scenarios.load import load_scenario

    for name in names():
        strategy = next(iter(load_scenario(find(name)).scenario.strategies))
        dry_run(cluster, scheduled(cluster, name, "--strategy", strategy, "--routing", "service"))


def test_times_that_we_take_the_server_takes(cluster: Any) -> None:
    for cron in ("*/5 1-3,5 ? JAN-MAR MON", "@daily", "0 0 29 2 *"):
        dry_run(cluster, scheduled(cluster, "good", "--strategy", "canary", "--routing", "service", "--cron", cron))


def test_ranges_are_the_servers_to_refuse(cluster: Any) -> None:
    for cron in ("61 10 * * 2", "0 24 * * *", "0 10 * * 9", "0 10 * FOO *", "5-1 * * * *"):
        objects = scheduled(cluster, "good", "--strategy", "canary", "--routing", "service", "--cron", cron)
        with pytest.raises(AssertionError, match=r"spec\.schedule: Invalid value"):
            dry_run(cluster, objects)


def test_what_we_refuse_the_server_refuses_as_well(cluster: Any) -> None:
    objects = scheduled(cluster, "good", "--strategy", "canary", "--routing", "service")
    for cron in ("0 10 * *", "@every 5m x", "TZ=UTC 0 10 * * 2", "0 10 * * $"):
        for each in objects:
            if each["kind"] == "CronJob":
                each["spec"]["schedule"] = cron
        with pytest.raises(AssertionError, match=r"spec\.schedule: Invalid value"):
            dry_run(cluster, objects)


def test_zones_that_we_refuse_the_server_refuses_as_well(cluster: Any) -> None:
    objects = scheduled(cluster, "good", "--strategy", "canary", "--routing", "service")
    for zone in ("Local", "Europe/Berln", "../etc/passwd"):
        for each in objects:
            if each["kind"] == "CronJob":
                each["spec"]["timeZone"] = zone
        with pytest.raises(AssertionError, match=r"spec\.timeZone: Invalid value"):
            dry_run(cluster, objects)


# --- run to their end --------------------------------------------------------------------------------------------


@pytest.fixture
def start(cluster: Any) -> Callable[[str], str]:
    """Begin the Job of a CronJob now, in a schedule of the chaos test; its name."""
    if not (cluster.node.folder / "conf" / "with-runner").exists():
        pytest.skip("the image of the runner is not on the node: hack/node/up.sh --with-runner")
    cluster.apply(*scheduled(cluster, "chaos-half", "--strategy", "canary", *ROUTED))

    def begun(what: str) -> str:
        cluster.kubectl("create", "job", f"--from=cronjob/{NAME}-{what}", f"now-{what}")
        return f"now-{what}"

    return begun


def until(seconds: float, what: Callable[[], Any]) -> Any:
    """What a question is answered with at last."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.5)
    return found


def ended(cluster: Any, job: str) -> str:
    """How a Job ended, empty while it runs."""
    conditions = cluster.get(f"job/{job}")["status"].get("conditions", ())
    return next((each["type"] for each in conditions if each["status"] == "True" and each["type"] in ("Complete", "Failed")), "")  # fmt: skip


def at_work(cluster: Any, start: Callable[[str], str]) -> str:
    """A Job whose drill has pods of both revisions; one that a slow machine did not let begin is begun again."""
    for _ in range(4):
        job = start("drill")

        def further(job: str = job) -> str:
            left = left_of_drills(cluster)
            return (
                "at work" if any(each.startswith("Pod") and "canary" in each for each in left) else ended(cluster, job)
            )

        if until(240, further) == "at work":
            return job
        said = cluster.kubectl("logs", f"job/{job}")
        cluster.kubectl("delete", "job", job, "--wait")
    pytest.skip(f"this machine is too busy for a drill: {json.loads(said)['drills'][0]['reasons']}")


@pytest.mark.slow
def test_a_scheduled_drill_runs_to_its_end_and_leaves_nothing(cluster: Any, start: Callable[[str], str]) -> None:
    job = start("drill")
    how = until(400, lambda: ended(cluster, job))
    said = cluster.kubectl("logs", f"job/{job}")
    (record,) = json.loads(said)["drills"]
    if record["exit_code"] == 3 and "steady state" in str(record["reasons"]):
        pytest.skip(f"this machine is too busy for a drill: {record['reasons']}")
    assert record["outcome"] == "rolled_back", record["reasons"]
    assert record["exit_code"] in (0, 1, 5), "1, 5: this machine was slower than the scenario expects"
    assert how == ("Complete" if record["exit_code"] == 0 else "Failed"), "so that an alert sees it"
    assert record["left"] == []
    assert left_of_drills(cluster) == []


@pytest.mark.slow
def test_a_job_that_is_deleted_takes_its_rollout_back_in_the_time_it_is_given(
    cluster: Any, start: Callable[[str], str]
) -> None:
    job = at_work(cluster, start)
    cluster.kubectl("delete", "job", job, "--wait=false")
    until(180, lambda: not cluster.get("pods", f"--selector=batch.kubernetes.io/job-name={job}")["items"])
    assert left_of_drills(cluster) == []


@pytest.mark.slow
def test_what_a_killed_job_leaves_the_second_cron_job_clears(cluster: Any, start: Callable[[str], str]) -> None:
    job = at_work(cluster, start)
    cluster.kubectl("delete", "pods", f"--selector=batch.kubernetes.io/job-name={job}", "--grace-period=0", "--force")
    assert left_of_drills(cluster)
    until(120, lambda: ended(cluster, job) == "Failed")
    assert not cluster.get("pods", f"--selector=batch.kubernetes.io/job-name={job}")["items"], "it is not tried again"

    def swept() -> bool:  # a lease that has not run out keeps others away: the CronJob comes back, and so does this
        sweep = start("sweep")
        assert until(120, lambda: ended(cluster, sweep)) == "Complete", cluster.kubectl("logs", f"job/{sweep}")
        cluster.kubectl("delete", "job", sweep, "--wait")
        return not left_of_drills(cluster)

    until(240, swept)
