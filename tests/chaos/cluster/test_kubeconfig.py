"""Which cluster is meant, and one line for every kubeconfig that means none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import kubeconfig as under_test
from chaos.cluster.kubeconfig import account
from chaos.world import WorldError

SECRET = "do-not-repeat-me"


def config(**changes: Any) -> dict[str, Any]:
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("here", "there")],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": {"token": SECRET}}],
    }
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def refused(kubeconfig: str | None, context: str | None = None) -> str:
    with pytest.raises(WorldError) as caught:
        account(kubeconfig, context)
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    assert len(said) < 600
    return said


def test_a_file_its_context_and_server(tmp_path: Path) -> None:
    name = write(tmp_path / "kc", config())
    found = account(name, None)
    assert (found.file, found.context, found.settings.host) == (name, "here", "https://10.0.0.1:6443")
    assert account(name, "there").context == "there"


def test_a_name_is_made_absolute_so_that_a_sweep_from_elsewhere_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "kc", config())
    monkeypatch.chdir(tmp_path)
    assert account("kc", None).file == str(tmp_path / "kc")
    monkeypatch.setenv("KUBECONFIG", "kc")
    assert account(None, None).file == str(tmp_path / "kc")


def test_the_environment_as_it_is_now_may_name_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one", config(contexts=[]))
    two = write(tmp_path / "two", {"contexts": config()["contexts"]})
    monkeypatch.setenv("KUBECONFIG", f"{one}:{tmp_path / 'missing'}::{two}")
    found = account(None, "there")
    assert (found.context, found.file) == ("there", f"{one}:{two}")


def test_the_usual_file(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube" / "config", config())
    assert account(None, None).context == "here"


def test_no_cluster_at_all_says_how_to_get_one() -> None:
    said = refused(None)
    for words in ("no cluster is known", "make cluster-up", "make kind-up", "--kubeconfig", ".kube/config"):
        assert words in said, words


def test_a_file_that_was_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(str(tmp_path / "no")) == f"kubeconfig {tmp_path / 'no'} does not exist; name yours with --kubeconfig"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no"))
    assert "does not exist" in refused(None), "the account of a pod is not what was asked for"


def test_an_unknown_context_lists_the_known_ones(tmp_path: Path) -> None:
    name = write(tmp_path / "kc", config())
    assert refused(name, "ther") == f"kubeconfig {name} has no context 'ther'; did you mean 'there'? known: here, there"
    name = write(tmp_path / "kc", config(**{"current-context": None}))
    assert refused(name).endswith("has no current context; choose one with --context: here, there")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("[1, 2]", "no kubeconfig"),
        ("hello", "no kubeconfig"),
        (f"a: [{SECRET}", "not YAML (line"),
        ("\0\1", "not YAML"),
        (config(clusters=None), "name c in"),
        (config(clusters=[{"name": "c", "cluster": {}}]), "expected the URL of a server, got ''"),
        (config(clusters=[{"name": "c", "cluster": {"server": "10.0.0.1:6443"}}]), "got '10.0.0.1:6443'"),
        (config(clusters=[{"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": SECRET}}]), "no kubeconfig"),
        (config(clusters=[{"name": "c", "cluster": {"server": "https://x", "certificate-authority": "/no"}}]), "File does not exist: /no"),
        (config(contexts=SECRET), "used"),
        (config(contexts=[{"name": "here", "context": None, "secret": SECRET}]), "Expected key context"),
        (config(users=[{"name": "u", "user": SECRET}]), "no kubeconfig"),
        (config(users=[{"name": "u", "token": SECRET}]), "Expected key user"),
    ],
)  # fmt: skip
def test_files_of_another_shape(tmp_path: Path, content: Any, words: str) -> None:
    name = write(tmp_path / "kc", content)
    said = refused(name)
    assert words in said
    assert name in said


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refused(str(tmp_path)) == f"kubeconfig {tmp_path} cannot be read: Is a directory"


def test_a_password_in_the_url_is_dropped(tmp_path: Path) -> None:
    server = {"server": f"https://me:{SECRET}@10.0.0.1:6443"}
    name = write(tmp_path / "kc", config(clusters=[{"name": "c", "cluster": server}]))
    assert account(name, None).settings.host == "https://10.0.0.1:6443"


def test_in_a_pod_it_is_the_pods_own_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert refused(None) == "this pod has no service account that could be used: Service token file does not exist."
    called: list[Any] = []

    def load(client_configuration: Any) -> None:
        called.append(client_configuration)
        client_configuration.host = "https://10.0.0.1:443"

    monkeypatch.setattr(under_test.config, "load_incluster_config", load)
    found = account(None, None)
    assert (found.file, found.context, found.settings.host) == (None, "", "https://10.0.0.1:443")
    assert called
