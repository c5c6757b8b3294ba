"""A second node beside the one that is up: it comes, it goes, it leaves nothing; and where it cannot run, it says so."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cluster.native.node import Node, find

SCRIPTS = Path(__file__).parents[2] / "hack" / "node"
SETTINGS = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/ipv4/ip_forward")


class Scripts:
    """The scripts, run where these tests were started."""

    def __init__(self, machine: list[str]) -> None:
        self.machine = machine

    def run(self, name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of them for the node of this folder."""
        return subprocess.run(
            [*self.machine, str(SCRIPTS / name), *arguments],
            env={**os.environ, "ROLLOUTLAB_NODE": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def up(self, folder: Path) -> Node:
        """Start the node of this folder."""
        started = self.run("up.sh", folder)
        assert started.returncode == 0, started.stderr
        found = find({"ROLLOUTLAB_NODE": str(folder)})
        assert found is not None
        return found

    def traces(self, folder: Path) -> dict[str, object]:
        """What a node could leave behind, as far as it is not another node's."""

        def said(*command: str) -> str:
            return subprocess.run([*self.machine, *command], capture_output=True, text=True, check=True).stdout

        own = str(folder).encode()
        name = "rolloutlab-node-" + hashlib.sha256(own + b"\n").hexdigest()[:8]  # as up.sh names it
        return {
            "processes": [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if own in _read(path)],
            "mounts": Path("/proc/self/mounts").read_text(),
            "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{name}") if path.is_dir()),
            "links": sorted(line.split(": ")[1] for line in said("ip", "-oneline", "link").splitlines()),
            "rules": said("nft", "--stateless", "list", "ruleset"),
            "files": sorted(str(path) for root in ("/run", "/var/lib", "/var/run") for path in Path(root).glob("*")),
            "settings": [(Path("/proc/sys") / name).read_text() for name in SETTINGS],
        }


@pytest.fixture
def scripts(machine: list[str]) -> Scripts:
    return Scripts(machine)


@pytest.fixture
def folder(node: Node, scripts: Scripts, tmp_path: Path) -> Iterator[Path]:
    """Of a node of this test's own; `node` says that one can run here, and that somebody wants these tests."""
    yield tmp_path / "own node"  # with a space: it stands in many configuration files
    assert scripts.run("down.sh", tmp_path / "own node").returncode == 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_up_twice_and_down_leaves_nothing(node: Node, scripts: Scripts, folder: Path) -> None:
    before = scripts.traces(folder)
    own = scripts.up(folder)
    assert own.pid != node.pid
    assert set(scripts.traces(folder)["cgroups"]) > set(before["cgroups"])  # type: ignore[call-overload]  # else nothing is shown
    again = scripts.run("up.sh", folder)
    assert (again.returncode, "already up" in again.stderr) == (0, True)
    assert find({"ROLLOUTLAB_NODE": str(folder)}) == own, "it is the same node"

    ended = scripts.run("down.sh", folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not folder.exists()
    assert scripts.traces(folder) == before
    assert find() == node, "the other node does not notice"
    assert scripts.run("down.sh", folder).returncode == 0, "nothing is left to end"


@pytest.mark.slow
def test_a_part_that_dies_ends_the_node(scripts: Scripts, folder: Path) -> None:
    own = scripts.up(folder)
    os.kill(_part(own, "kube-scheduler"), signal.SIGKILL)
    end = time.monotonic() + 30
    while find({"ROLLOUTLAB_NODE": str(folder)}) is not None:
        assert time.monotonic() < end, "a node without a scheduler goes on"
        time.sleep(0.1)
    assert "because kube-scheduler ended" in (folder / "log" / "node").read_text()
    assert scripts.run("run.sh", folder, "true").returncode == 1
    assert scripts.up(folder).pid != own.pid, "and up.sh starts afresh"


@pytest.mark.slow
def test_down_names_who_is_still_inside(scripts: Scripts, folder: Path) -> None:
    own = scripts.up(folder)
    guest = subprocess.Popen(own.command(["sleep", "60"]))
    time.sleep(0.2)  # it enters
    ended = scripts.run("down.sh", folder)
    guest.kill()
    guest.wait()
    assert ended.returncode == 4
    assert f"still in the node's network, end it: sleep 60 (process {guest.pid})" in ended.stderr


def _part(node: Node, name: str) -> int:
    """Process of a part, seen from outside."""
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    return next(int(child) for child in children if _read(Path(f"/proc/{child}/cmdline")).startswith(name.encode()))


def test_preflight_says_everything_that_is_missing(node: Node, tmp_path: Path) -> None:
    """A machine without cgroup v1, Go, memory and packages, made in a mount namespace."""
    hidden = "for name in /sys/fs/cgroup/*; do umount $name || true; done 2>/dev/null; mkdir -p $0/none; "
    hidden += "for name in /usr/local/go /usr/lib/cni; do [ ! -d $name ] || mount --bind $0/none $name; done; "
    hidden += "echo 'MemAvailable: 1024 kB' > $0/meminfo; mount --bind $0/meminfo /proc/meminfo; exec $1"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", hidden, str(tmp_path), str(SCRIPTS / "preflight.sh")],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_CACHE_HOME": str(tmp_path / "empty"), "HOME": "/var/none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    for part in (
        "cgroup v2 only",
        "newer builds Kubernetes; found: none",
        "3000 MiB of free memory are needed, 1 MiB are there",
        "Debian packages are missing: containernetworking-plugins",
        "/var/none/.local/state/rolloutlab/node is hidden by the node's own /var",
        "make kind-up (docs/how-to/kind.md)",
    ):
        assert part in done.stderr


def test_preflight_wants_root(node: Node) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "bash", SCRIPTS / "preflight.sh"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "root is needed" in done.stderr


@pytest.mark.parametrize("name", ["up.sh", "down.sh"])
def test_a_folder_that_is_not_a_nodes_is_left_alone(scripts: Scripts, tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").touch()
    done = scripts.run(name, tmp_path)
    assert done.returncode == 2
    assert "is not the folder of a node" in done.stderr
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    ("script_name", "argument", "known"),
    [
        ("up.sh", "--with-promethius", "--with-prometheus, --with-runner"),
        ("build.sh", "kubernetes", "kube crds argo traefik"),
        ("image.sh", "application", "pause, app, runner"),
    ],
)
def test_unknown_words_list_the_known_ones(
    scripts: Scripts, tmp_path: Path, script_name: str, argument: str, known: str
) -> None:
    done = scripts.run(script_name, tmp_path, argument)
    assert done.returncode == 2
    assert f"'{argument}'; known: {known}" in done.stderr
