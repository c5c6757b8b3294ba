"""The native node seen from Python, without one: files, names and command lines."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cluster.native import node
from chaos.cluster.native.node import Node, NodeError


def test_the_state_is_where_the_scripts_have_it(tmp_path: Path) -> None:
    """The scripts' own rule, asked of bash, is the oracle."""
    lib = Path(__file__).parents[3] / "hack" / "node" / "lib.sh"
    cases = [
        {"HOME": str(tmp_path)},
        {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "xdg")},
        {"HOME": str(tmp_path), "XDG_STATE_HOME": "", "ROLLOUTLAB_NODE": ""},
        {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "xdg"), "ROLLOUTLAB_NODE": f"{tmp_path}/a/../b"},
    ]
    for environment in cases:
        said = subprocess.run(
            ["bash", "-c", f'source "{lib}"; echo "$STATE"'],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        asked = "import os; from chaos.cluster.native.node import state_folder; print(state_folder())"
        found = subprocess.run(
            [sys.executable, "-c", asked],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(lib.parents[2]), **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert found == said, environment


def _says(pid: int, last: str) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")[-1] == last


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[tuple[Path, int, int]]:
    """A folder, an outer process, and its child whose last word is the folder: what up.sh leaves behind."""
    folder = tmp_path / "node"
    folder.mkdir()
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", str(folder)]
    parent = f"import subprocess; subprocess.run({sleeper!r})"
    outer = subprocess.Popen([sys.executable, "-c", parent])
    (folder / "pid").write_text(f"{outer.pid}\n")
    (folder / "ready").touch()
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    end = time.monotonic() + 20
    while not (first := children.read_text().split()) or not _says(int(first[0]), str(folder)):  # forked, and executed
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield folder, outer.pid, int(first[0])
    finally:
        os.kill(int(first[0]), 9)
        outer.wait(20)


def test_a_node_that_is_up_is_found(standing: tuple[Path, int, int]) -> None:
    folder, _, first = standing
    found = node.find({"ROLLOUTLAB_NODE": str(folder)})
    assert found == Node(folder, first)
    assert found.kubeconfig == folder / "kubeconfig"
    assert found.inside(), "the stand-in has the network of this test"
    found.enter_network()  # so nothing is to do


def test_a_node_that_is_not_ready_is_not_up(standing: tuple[Path, int, int]) -> None:
    folder, _, _ = standing
    (folder / "ready").unlink()
    assert not node.is_up({"ROLLOUTLAB_NODE": str(folder)})


def test_a_process_with_the_number_of_a_dead_node_is_not_the_node(standing: tuple[Path, int, int]) -> None:
    folder, outer, _ = standing
    other = folder.parent / "other"
    other.mkdir()
    (other / "pid").write_text(str(outer))
    (other / "ready").touch()
    assert node.find({"ROLLOUTLAB_NODE": str(other)}) is None


@pytest.mark.parametrize("content", [None, "", "x", "0", "4194305"])
def test_no_node_says_how_to_get_one(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pid").write_text(content)
    environment = {"ROLLOUTLAB_NODE": str(tmp_path)}
    assert not node.is_up(environment)
    with pytest.raises(NodeError, match=f"no native node is up in {tmp_path}.*make cluster-up"):
        node.need(environment)


def test_a_node_that_ended_cannot_be_entered(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(NodeError, match="has ended"):
        Node(tmp_path, ended.pid).enter_network()


def test_a_process_with_threads_is_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "inside", lambda _: False)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(NodeError, match="before threads start"):
            Node(tmp_path, os.getpid()).enter_network()
    finally:
        over.set()
        thread.join()


def test_command_lines() -> None:
    at = Node(Path("/state"), 42)
    assert at.command(["curl", "-s", "x"]) == ["nsenter", "--target=42", "--net", "--", "curl", "-s", "x"]
    whole = at.command(["/usr/bin/ctr", "version"], everything=True)
    assert whole[:2] == ["nsenter", "--target=42"]
    assert {"--net", "--mount", "--pid", "--cgroup"} <= set(whole)
    assert whole[-3:] == ["--", "/usr/bin/ctr", "version"]
