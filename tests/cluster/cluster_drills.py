"""Drills as a user runs them: the command, in a namespace of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = "deployments,replicasets,pods,services,configmaps,httproutes.gateway.networking.k8s.io,leases"


@dataclass(frozen=True)
class Runner:
    """`rolloutlab` with a state folder and a namespace."""

    state: Path
    namespace: str
    kubeconfig: Path

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, "ROLLOUTLAB_STATE": str(self.state)}
        where = ["--world", "cluster", "--namespace", self.namespace, "--kubeconfig", str(self.kubeconfig)]
        command = [sys.executable, "-m", "rolloutlab", *words, *where]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
        )

    def run(self, *words: str, timeout: float = 300) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        with self.start(*words) as child:
            out, errors = child.communicate(timeout=timeout)
        return child.returncode, out, errors

    def drill(self, scenario: str, strategy: str, *words: str, timeout: float = 300) -> dict[str, Any]:
        """The record of one drill, with its exit code; what was said instead of one is shown."""
        asked = ("drill", scenario, "--strategy", strategy, "-q", "-o", "json", *words)
        code, out, errors = self.run(*asked, timeout=timeout)
        assert out, f"exit {code}: {errors}"
        (record,) = json.loads(out)["drills"]
        assert record["exit_code"] == code
        assert record["left"] == [], record
        return dict(record)


def left_of_drills(cluster: Any) -> list[str]:
    """Objects of ours in a namespace."""
    found = json.loads(cluster.kubectl("get", OURS, "--selector=rolloutlab/drill", "--output=json"))["items"]
    return [f"{each['kind']} {each['metadata']['name']}" for each in found]
