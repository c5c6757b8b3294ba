"""The doctor asks a real API server, as the administrator and as an account that has the rights of a drill, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from chaos.cluster.doctor import account, examine
from chaos.cluster.kube import Kube
from chaos.cluster.rights import RIGHTS, binding, needed, role
from chaos.cluster.settings import ClusterSettings
from chaos.finding import Finding, ready
from rolloutlab.cli import main


def of(found: list[Finding], about: str) -> Finding:
    (one,) = [each for each in found if each.about == about]
    return one


@pytest.fixture
def named(cluster: Any, tmp_path: Path) -> Callable[[str], str]:
    """A kubeconfig of a service account of the namespace, which is made."""

    def made(name: str) -> str:
        cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        token = cluster.kubectl("create", "token", name).strip()
        config = YAML(typ="safe").load(cluster.node.kubeconfig.read_text())
        config["users"] = [{"name": name, "user": {"token": token}}]
        for each in config["contexts"]:
            each["context"]["user"] = name
        path = tmp_path / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return str(path)

    return made


def test_the_administrator_can_drill(cluster: Any) -> None:
    found = examine(ClusterSettings(kubeconfig=str(cluster.node.kubeconfig), namespace=cluster.namespace))
    assert [one for one in found if one.state == "missing"] == []
    assert of(found, "API server").text.startswith("v1.")
    assert of(found, "clock").state == "ok"
    assert of(found, "account").text == "admin"
    assert "is programmed, at 10.80.0.1" in of(found, "Gateway").text
    assert of(found, "Gateway address").text == "10.80.0.1:8000 takes connections"


def test_the_command_says_so_too(cluster: Any) -> None:
    where = ["--kubeconfig", str(cluster.node.kubeconfig), "--namespace", cluster.namespace]
    done = CliRunner().invoke(main, ["doctor", *where, "-o", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["ready"]


def test_the_rights_of_the_table_are_enough_and_reach_no_further(cluster: Any, named: Callable[[str], str]) -> None:
    """A Role in the namespace: its own label can be read by it, which the server counts as inside."""
    path, space = named("runner"), cluster.namespace
    cluster.apply(role("r", space, needed(["gateway"])), binding("r", space, f"system:serviceaccount:{space}:runner"))
    found = examine(ClusterSettings(kubeconfig=path, namespace=space, routing="service"))
    assert of(found, "account").text == f"system:serviceaccount:{space}:runner"
    assert of(found, "permissions").state == "ok"
    assert of(found, "namespace").state == "ok"
    assert ready(found), found
    assert {one.about for one in found if one.state == "unknown"} >= {"identity", "image"}, "they are outside of it"
    elsewhere = examine(ClusterSettings(kubeconfig=path, namespace="rolloutlab-drills", routing="service"))
    assert not ready(elsewhere)


def test_without_rights_each_one_is_named(cluster: Any, named: Callable[[str], str]) -> None:
    found = examine(ClusterSettings(kubeconfig=named("nobody"), namespace=cluster.namespace))
    assert not ready(found)
    text = of(found, "permissions").text
    for right in needed([]):
        assert f"{', '.join(right.verbs)} {right.words}" in text
    assert of(found, "Gateway").state == "unknown"
    assert of(found, "Gateway address").state == "missing"


def test_the_printed_role_mends_what_is_missing(cluster: Any, named: Callable[[str], str]) -> None:
    where = ["--kubeconfig", named("anna"), "--namespace", cluster.namespace]
    assert CliRunner().invoke(main, ["doctor", *where, "--routing", "service"]).exit_code == 3
    printed = CliRunner().invoke(main, ["doctor", *where, "--print-role"])
    assert printed.exit_code == 0, printed.output
    cluster.apply(*YAML(typ="safe").load_all(printed.stdout))
    done = CliRunner().invoke(main, ["doctor", *where, "--routing", "service"])
    assert done.exit_code == 0, done.output


def test_each_right_is_one_that_the_server_knows(cluster: Any) -> None:
    """A misspelt resource would never be refused to an administrator, and never be granted to anybody else."""
    known = set()
    for path in (
        "/api/v1",
        *(f"/apis/{right.kind.group}/{right.kind.version}" for right in RIGHTS if right.kind.group),
    ):
        try:
            served = json.loads(cluster.kubectl("get", "--raw", path))
        except AssertionError:
            continue  # not installed
        known |= {(path, each["name"], verb) for each in served["resources"] for verb in each["verbs"] or ()}
    for right in needed(["gateway"]):
        path = f"/apis/{right.kind.group}/{right.kind.version}" if right.kind.group else "/api/v1"
        verbs = {"get", "create"} if right.sub == "proxy" else set(right.verbs)
        assert {(path, right.resource, verb) for verb in verbs} <= known, right.words


def test_the_name_of_the_account(cluster: Any) -> None:
    assert account(Kube(str(cluster.node.kubeconfig))) == "admin"
