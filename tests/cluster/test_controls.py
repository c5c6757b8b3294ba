"""Controls in a real cluster: what is not the new revision's fault is not laid at its door, and nobody promotes blindly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster_drills import Runner, left_of_drills

SCENARIO = "chaos-half"


@pytest.fixture
def runner(cluster: Any, tmp_path: Path) -> Runner:
    return Runner(tmp_path, cluster.namespace, cluster.node.kubeconfig)


CONTROLS = {
    "no fault": ("none", (), "promoted"),
    "a fault below the line": ("below", (), "promoted"),
    "a fault in both revisions": ("both", (), "promoted"),
    "a stable pod is killed": ("none", ("--fault", "pod_kill:on=stable,replicas=1,from=8s"), "promoted"),
    "nobody sees the metrics": ("blind", (), "rolled_back"),
}


@pytest.mark.parametrize("control", list(CONTROLS))
def test_a_control_is_judged_rightly(runner: Runner, cluster: Any, control: str) -> None:
    variant, more, outcome = CONTROLS[control]
    record = runner.drill(SCENARIO, "canary", "--variant", variant, *more)
    assert (record["outcome"], record["exit_code"]) == (outcome, 0), record["reasons"]
    assert left_of_drills(cluster) == []
