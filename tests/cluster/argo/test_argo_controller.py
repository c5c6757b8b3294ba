"""The real controller of Argo Rollouts beside the models of it (`hack/node/argo.sh`, `make drills-cluster`)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from controller_recorder import Bench
from rollout_cases import Case, load
from rollout_compare import compare
from rollout_recorder import RolloutRecorder

from chaos.cluster.kube import Kube
from chaos.cluster.native.node import Node

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(argo: Node) -> Iterator[Bench]:
    found = Bench(kube=Kube(str(argo.kubeconfig)), namespace=f"argo-{uuid.uuid4().hex[:8]}")
    found.make()
    yield found
    found.remove()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in load()])
def test_the_models_do_what_the_real_controller_does(bench: Bench, case: Case) -> None:
    recording = asyncio.run(RolloutRecorder(bench, case).record())
    found = compare(case, recording)
    assert not found.differences, "\n".join([*found.differences, *recording.lines()])
