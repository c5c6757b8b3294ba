"""Bad input and bad luck on a real node: the exit code, one message, and that nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster_drills import Runner, left_of_drills

from chaos.cluster.native.node import Node

GOOD = ("drill", "chaos-half", "--strategy", "canary", "--variant", "none", "-q", "-o", "json")
PATIENCE = 90.0
BRIEF_SECONDS = 15.0  #: longer than one request is tried, shorter than a drill waits
#: what a narrow account may do: hold the lease and look, and make nothing
NARROW = [
    {"apiGroups": [""], "resources": ["namespaces", "configmaps", "pods", "services"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch", "delete"]},
]  # fmt: skip


@pytest.fixture
def runner(cluster: Any, tmp_path: Path) -> Runner:
    return Runner(tmp_path, cluster.namespace, cluster.node.kubeconfig)


def record_of(code: int, out: str, errors: str) -> dict[str, Any]:
    """The drill that was told, with the exit code it was told with."""
    assert "Traceback" not in out + errors
    assert out, f"exit {code}: {errors}"
    (record,) = json.loads(out)["drills"]
    assert record["exit_code"] == code
    return dict(record)


def in_the_middle(runner: Runner, cluster: Any, act: Callable[[str], None]) -> dict[str, Any]:
    """A good release whose canary has just come when something happens; `act` is given the name of its Deployment."""
    with runner.start(*GOOD) as child:
        deadline = time.monotonic() + PATIENCE
        while not (
            found := [
                each for each in left_of_drills(cluster) if each.startswith("Deployment") and each.endswith("-canary")
            ]
        ):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(4)
        act(found[0].split()[1])
        out, errors = child.communicate(timeout=300)
    return record_of(child.returncode, out, errors)


def test_the_wrong_context_of_the_nodes_own_kubeconfig(runner: Runner, cluster: Any) -> None:
    record = record_of(*runner.run(*GOOD, "--context", "staging"))
    assert record["exit_code"] == 3
    assert "has no context 'staging'" in record["reasons"][0]
    assert left_of_drills(cluster) == []


def test_an_account_that_may_not_make_anything_is_refused(runner: Runner, cluster: Any, tmp_path: Path) -> None:
    meta = {"name": "narrow", "namespace": cluster.namespace}
    rbac = "rbac.authorization.k8s.io"
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": NARROW},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "narrow"},
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
    )
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--output=json"))
    config["users"][0]["user"] = {"token": cluster.kubectl("create", "token", "narrow").strip()}
    path = tmp_path / "narrow"
    path.write_text(json.dumps(config))
    narrow = Runner(tmp_path / "state", cluster.namespace, path)
    record = record_of(*narrow.run(*GOOD, "--gateway", "rolloutlab-system/rolloutlab", "--address", "10.80.0.1:8000"))
    assert record["exit_code"] == 3
    (reason,) = record["reasons"]
    assert "create, patch, delete configmaps; get, list, watch, create, patch, delete deployments.apps" in reason
    assert "--print-role" in reason
    assert not [*(narrow.state / "runs").glob("*/cluster.json")], (
        "nothing was made, so no sweep will be in need of rights"
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["scaled", "deleted"])
def test_somebody_comes_between(runner: Runner, cluster: Any, how: str) -> None:
    def meddle(name: str) -> None:
        if how == "scaled":
            cluster.kubectl("scale", "deployment", name, "--replicas=3")
        else:
            cluster.kubectl("delete", "deployment", name, "--wait=false")

    record = in_the_middle(runner, cluster, meddle)
    assert record["exit_code"] == 5
    said = {"scaled": "kubectl changed Deployment", "deleted": "somebody deleted Deployment"}[how]
    assert record["reasons"][0].startswith(said), record["reasons"]
    assert left_of_drills(cluster) == []


@pytest.mark.slow
def test_an_api_server_that_hangs_for_a_moment_ends_no_drill(runner: Runner, cluster: Any, node: Node) -> None:
    def hang(name: str) -> None:
        with stopped(node, "kube-apiserver"):
            time.sleep(BRIEF_SECONDS)

    record = in_the_middle(runner, cluster, hang)
    assert record["outcome"] == "promoted", record["reasons"]
    assert record["exit_code"] == 0 or "late" in " ".join(record["reasons"]), record["reasons"]
    assert left_of_drills(cluster) == []


@contextmanager
def stopped(node: Node, part: str) -> Iterator[None]:
    """A part of the node that stands still."""
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    (pid,) = [
        int(each) for each in children if Path(f"/proc/{each}/cmdline").read_bytes().startswith(part.encode() + b"\0")
    ]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_disk_that_is_full_is_said_before_anything_is_made(cluster: Any, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        record = record_of(*Runner(small, cluster.namespace, cluster.node.kubeconfig).run(*GOOD))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert record["exit_code"] == 3
    assert "MiB left" in record["reasons"][0]
    assert left_of_drills(cluster) == []
