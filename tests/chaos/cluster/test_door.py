"""Which cluster is meant when a native node is up as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import door as under_test
from chaos.cluster.native import node as native
from chaos.cluster.settings import ClusterSettings
from chaos.cluster.testing import ApiServer
from chaos.world import WorldError


class Node:
    """A native node that is up."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.entered = 0

    def enter_network(self) -> None:
        self.entered += 1


@pytest.fixture
def node(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    (tmp_path / "node").mkdir()
    found = Node(api.kubeconfig(tmp_path / "node" / "kubeconfig", name=native.CONTEXT))
    monkeypatch.setattr(native, "find", lambda: found)
    return found


def opened(**more: Any) -> under_test.Door:
    return under_test.opened(ClusterSettings(**more))


def test_the_native_node_is_taken_where_nothing_else_is_named(node: Node) -> None:
    for more in ({}, {"context": native.CONTEXT}):
        found = opened(**more)
        assert found.node is node  # type: ignore[comparison-overlap]
        assert found.kube.kubeconfig == str(node.kubeconfig)
    assert node.entered == 2, "before anything is asked"
    assert found.text == "the native node"


def test_its_own_kubeconfig_names_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(kubeconfig=str(node.kubeconfig)).node is not None
    monkeypatch.chdir(node.kubeconfig.parent)
    assert opened(kubeconfig="kubeconfig").node is not None
    monkeypatch.setenv("KUBECONFIG", "kubeconfig")
    assert opened().node is not None


def test_a_context_that_its_kubeconfig_does_not_have_is_refused(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    for more in ({"kubeconfig": str(node.kubeconfig)}, {}):
        monkeypatch.setenv("KUBECONFIG", str(node.kubeconfig))
        with pytest.raises(WorldError, match="has no context 'staging'.*known: rolloutlab-native"):
            opened(context="staging", **more)


def test_another_kubeconfig_is_another_cluster(node: Node, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(kubeconfig=str(kubeconfig)).node is None
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    found = opened()
    assert found.node is None
    assert found.text == found.kube.server
    assert node.entered == 0


def test_another_context_is_another_cluster(node: Node, api: ApiServer, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    api.kubeconfig(tmp_path / ".kube" / "config")
    assert opened(context="fake").node is None
    with pytest.raises(WorldError, match="has no context 'other'; known: fake"):
        opened(context="other")


def test_in_a_pod_it_is_not_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(WorldError, match="service account"):
        opened()
    assert node.entered == 0


def test_a_node_that_cannot_be_entered_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(self: Node) -> None:
        raise native.NodeError("only root enters")

    monkeypatch.setattr(Node, "enter_network", refuses)
    with pytest.raises(WorldError, match="only root enters"):
        opened()
