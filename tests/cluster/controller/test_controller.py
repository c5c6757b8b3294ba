"""The real Deployment controller beside the models of it: 40 rollouts on a real cluster.

`make cluster-test` takes the fast ones, `make drills-cluster` all.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from controller_cases import Case, load
from controller_compare import compare
from controller_recorder import Bench, Recorder

from chaos.cluster.kube import Kube
from chaos.cluster.native.node import Node

CASES = load()


@pytest.fixture(scope="module")
def bench(node: Node) -> Iterator[Bench]:
    found = Bench(kube=Kube(str(node.kubeconfig)), namespace=f"controller-{uuid.uuid4().hex[:8]}")
    found.make()
    yield found
    found.remove()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=() if case.fast else pytest.mark.slow) for case in CASES]
)
def test_the_models_do_what_the_real_controller_does(bench: Bench, case: Case) -> None:
    recording = asyncio.run(Recorder(bench, case).record())
    found = compare(case, recording)
    assert not found.differences, "\n".join([*found.differences, *recording.lines()])
