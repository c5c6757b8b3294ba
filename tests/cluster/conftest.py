"""A node to test on: one that is up already. No test of the plain suite starts one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster.native.node import Node, NodeError, need

sys.path.insert(0, str(Path(__file__).parent))  # lets the tests import the programs beside them
_MACHINE_NETWORK = os.open("/proc/self/ns/net", os.O_RDONLY)  # before a test moves this process into the node's


@pytest.fixture
def machine() -> list[str]:
    """The beginning of a command that runs in the network from which these tests were started; empty in that network."""
    if os.fstat(_MACHINE_NETWORK).st_ino == os.stat("/proc/self/ns/net").st_ino:
        return []
    return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{_MACHINE_NETWORK}", "--"]


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Node:
    """The native node that is up, whose network this process is in from now on."""
    here = Path(__file__).parent
    if any(here not in item.path.parents for item in request.session.items):
        pytest.skip("other tests would find themselves in the node's network; `make cluster-test` runs these alone")
    try:
        found = need()
        found.enter_network()
    except NodeError as error:
        pytest.skip(f"{error}, `make cluster-test` runs these tests in it")
    return found


@pytest.fixture(scope="session")
def argo(node: Node) -> Node:
    """The node with the real controller of Argo Rollouts, started here where it was built before."""
    scripts = Path(__file__).parents[2] / "hack" / "node"
    where = subprocess.run([scripts / "build.sh", "--where", "argo"], capture_output=True, text=True, check=True)
    if not Path(where.stdout.strip()).is_dir():
        pytest.skip("the controller of Argo Rollouts was not built: hack/node/argo.sh does that, in some minutes")
    environment = {**os.environ, "ROLLOUTLAB_NODE": str(node.folder)}
    with tempfile.TemporaryFile("w+") as said:  # not a pipe, which the controller would hold open
        done = subprocess.run(
            [scripts / "argo.sh"], env=environment, stdout=said, stderr=said, timeout=120, check=False
        )
        said.seek(0)
        assert done.returncode == 0, said.read()
    return node


@dataclass(frozen=True, slots=True)
class Cluster:
    """kubectl in one namespace."""

    node: Node
    namespace: str

    def kubectl(self, *arguments: str, given: object = None, timeout: float = 60) -> str:
        """What kubectl says on stdout; `given` is its stdin, as JSON."""
        command = [
            str(self.node.folder / "bin" / "kubectl"),
            f"--kubeconfig={self.node.kubeconfig}",
            f"--namespace={self.namespace}",
        ]
        done = subprocess.run(
            [*command, *arguments],
            input=None if given is None else json.dumps(given),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make these objects, or make them so."""
        self.kubectl("apply", "--filename=-", given={"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def get(self, *what: str) -> Any:
        """An object, or a list of them."""
        return json.loads(self.kubectl("get", *what, "--output=json"))


@pytest.fixture
def cluster(node: Node) -> Iterator[Cluster]:
    """A namespace of its own, deleted afterwards with all that is in it."""
    made = Cluster(node, f"test-{uuid.uuid4().hex[:8]}")
    made.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": made.namespace, "labels": {"rolloutlab/allowed": "true"}},
        }
    )
    yield made
    made.kubectl("delete", "namespace", made.namespace, timeout=120)
