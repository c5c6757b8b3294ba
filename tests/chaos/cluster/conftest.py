"""A cluster in memory (`chaos.cluster.testing`): a server, its kubeconfig, and a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.cluster.kube import Kube
from chaos.cluster.testing import ApiServer, Store

NAMESPACE = "drills"
TOKEN = "t0psecret-bearer-of-the-test"


@pytest.fixture(autouse=True)
def _nobody_elses_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a cluster, or a native node, that it did not make."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "ROLLOUTLAB_NAMESPACE", "ROLLOUTLAB_IDENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ROLLOUTLAB_NODE", str(tmp_path / "no-node"))
    monkeypatch.setenv("ROLLOUTLAB_STATE", str(tmp_path / "state"))


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A server with one namespace for drills; no controller runs but the garbage collector."""
    with ApiServer(Store({NAMESPACE: {"rolloutlab/allowed": "true"}}), token=TOKEN) as found:
        yield found


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path) -> Path:
    return api.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def kube(kubeconfig: Path) -> Kube:
    """A client whose tries follow each other at once."""
    return quick(Kube(str(kubeconfig)))


@pytest.fixture
def quickly() -> Callable[[Kube], Kube]:
    return quick


def quick(kube: Kube) -> Kube:
    kube._retries = kube._retries.new(backoff_factor=0)
    return kube
