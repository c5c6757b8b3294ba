"""Node faults in words, and what becomes of them on the node: command lines, rules, and where things are."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster.native import freezer, processes, rules, stress
from chaos.cluster.native.injection import Injection, RefusedError
from chaos.cluster.native.node import Node
from chaos.cluster.native.registry import Registry
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.injectors.native import Host, NativeNode

#: of every kind, what it must have
NEEDS: dict[str, dict[str, Any]] = {
    "packet_delay": {"latency_seconds": 0.2},
    "packet_loss": {"loss_ratio": 0.1},
    "http_delay": {"latency_seconds": 0.2},
    "http_abort": {"share": 0.3},
    "memory_stress": {"mib": 64},
    "bandwidth": {"rate_kbit_per_second": 1000},
}


def fault(kind: Any, **more: Any) -> NodeFault:
    return NodeFault(kind=kind, **{**NEEDS.get(kind, {}), **more})


# -- NodeFault --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NODE_FAULTS)
def test_every_kind_can_be_said_and_shown(kind: str) -> None:
    made = fault(kind)
    assert str(made).startswith(kind)
    assert all(value is not None for value in made.parameters().values())
    json.dumps(made.parameters())


@pytest.mark.parametrize("kind", NEEDS)
def test_what_a_kind_needs_must_be_there(kind: str) -> None:
    (name,) = NEEDS[kind]
    with pytest.raises(ValueError, match=f"{kind} needs {name}"):
        fault(kind, **{name: None})


@pytest.mark.parametrize(
    ("kind", "more", "text"),
    [
        ("freez", {}, "unknown kind of fault 'freez'; did you mean 'freeze'? known: pod_kill, container_kill"),
        ("freeze", {"on": "all"}, "on must be canary, stable or both, got 'all'"),
        ("freeze", {"from_seconds": -1}, "from_seconds must be at least 0, got -1"),
        ("freeze", {"from_seconds": float("nan")}, "from_seconds must be at least 0, got nan"),
        ("freeze", {"from_weight": 5}, "from_weight must be at least 0 and at most 1, got 5"),
        ("freeze", {"replicas": 0}, "replicas must be at least 1, got 0"),
        ("freeze", {"replicas": 1.5}, "replicas must be a whole number, got 1.5"),
        ("freeze", {"for_seconds": 0}, "for_seconds must be above 0, got 0"),
        ("freeze", {"workers": 2}, "freeze has no workers; it takes no parameters"),
        ("packet_delay", {"share": 0.5}, "packet_delay has no share; it takes latency_seconds, jitter_seconds"),
        ("packet_delay", {"latency_seconds": 0.0}, "latency_seconds must be above 0 and at most 600, got 0.0"),
        ("packet_delay", {"jitter_seconds": 0.3}, "jitter_seconds must be at least 0 and at most 0.2, got 0.3"),
        ("packet_loss", {"loss_ratio": 20}, "loss_ratio must be above 0 and at most 1, got 20"),
        ("http_abort", {"share": 0.0}, "share must be above 0 and at most 1, got 0.0"),
        ("http_abort", {"status": 200}, "status must be at least 400 and at most 599, got 200"),
        ("http_abort", {"exempt_paths": ("readyz",)}, "exempt_paths must be paths such as /readyz, got 'readyz'"),
        ("cpu_stress", {"workers": 0}, "workers must be at least 1 and at most 256, got 0"),
        ("memory_stress", {"mib": 0}, "mib must be at least 1"),
        ("bandwidth", {"rate_kbit_per_second": 1}, "rate_kbit_per_second must be at least 8"),
    ],
)
def test_what_cannot_be_is_said(kind: str, more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as error:
        fault(kind, **more)
    assert text in str(error.value)


def test_revisions() -> None:
    assert fault("freeze").revisions == ("canary",)
    assert fault("freeze", on="stable").revisions == ("stable",)
    assert fault("freeze", on="both").revisions == ("stable", "canary")


# -- command lines ----------------------------------------------------------------------------------------------------


def test_a_program_runs_in_all_namespaces_of_the_native_node() -> None:
    argv = NativeNode(Node(Path("/state"), 42)).argv(["agent"])
    assert argv[:2] == ["nsenter", "--target=42"]
    spaces = set(argv[2 : argv.index("--")])
    assert spaces == {"--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup"}
    command = argv[argv.index("--") + 1 :]
    assert command[-4:] == Host().argv(["agent"])[-4:] == [sys.executable, "-m", "chaos.cluster.native", "agent"]
    paths = next(word for word in command if word.startswith("PYTHONPATH=")).partition("=")[2].split(":")
    assert "/state/python" in paths
    assert any((Path(path) / "chaos" / "cluster" / "native" / "__main__.py").exists() for path in paths)
    assert all(path.startswith("/") for path in paths), "the working directory is lost on the way in"


def test_rules_bear_their_mark_and_leave_loopback_alone() -> None:
    mark = "rolloutlab/d7/f1.0/partition"
    made = [
        *rules.partition(mark),
        *rules.loss(mark, 0.25),
        *rules.queue(mark, 20_000),
        *rules.redirect(mark, 8080, 15_001),
    ]
    for rule in made:
        assert rule[rule.index("--comment") + 1] == mark
        assert rule[rule.index("!") + 2] == "lo"
    assert made[2][made[2].index("--probability") :][:2] == ["--probability", "0.2500000000"]
    assert "--queue-bypass" in made[3], "packets pass when nobody reads the queue"
    assert "--syn" in made[4], "connections that are open are not torn"


def test_rules_are_found_by_their_mark() -> None:
    saved = "\n".join(
        [
            "*mangle",
            '-A OUTPUT ! -o lo -m comment --comment "rolloutlab/d7/f1.0/packet_delay" -j NFQUEUE --queue-num 20001',
            "COMMIT",
            "*filter",
            ":INPUT ACCEPT [0:0]",
            "-A INPUT ! -i lo -m comment --comment rolloutlab/d7/f1.10/partition -j DROP",
            '-A INPUT -m comment --comment "not ours: rolloutlab/d7/" -j ACCEPT',
            "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
            "COMMIT",
        ]
    )
    found = rules.marked(saved, "rolloutlab/d7/")
    assert [(table, rule[0]) for table, rule in found] == [("mangle", "OUTPUT"), ("filter", "INPUT")]
    assert rules.marked(saved, "rolloutlab/d7/f1.1/partition") == []
    assert len(rules.marked(saved, "rolloutlab/d7/f1.10/partition")) == 1
    assert rules.marked(saved, "rolloutlab/d") == [], "an owner's name may be the beginning of another one's"


def test_stress_takes_no_more_than_it_is_asked_for() -> None:
    assert stress.argv("cpu_stress", {"workers": 3})[-2:] == ["--cpu", "3"]
    memory = stress.argv("memory_stress", {"mib": 64})
    assert memory[memory.index("--vm-bytes") + 1] == "64M"
    assert memory[memory.index("--vm") + 1] == "1"


@pytest.mark.parametrize(
    ("text", "controller", "folder"),
    [
        ("4:memory:/kubepods/pod1/c1\n0::/", "memory", "memory/kubepods/pod1/c1"),
        ("4:cpu,cpuacct:/kubepods/pod1/c1", "cpuacct", "cpu,cpuacct/kubepods/pod1/c1"),
        ("0::/kubepods.slice/c1.scope\n", "cpu", "kubepods.slice/c1.scope"),
        ("3:name=a:b:/x\n0::/y:z", "cpu", "y:z"),
    ],
)
def test_where_a_cgroup_is(text: str, controller: str, folder: str) -> None:
    assert processes.cgroup_of(text, controller) == Path("/sys/fs/cgroup") / folder


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("6:freezer:/kubepods/besteffort/pod1b048b24-1eff/af7\n0::/", True),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b_2.slice/cri-x.scope", True),
        ("0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1b.slice/x", True),
        ("6:freezer:/rolloutlab-node-12/kubepods/pod1b/af7", False),
        ("0::/system.slice/docker-1.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1b.slice/x", False),
        ("0::/user.slice", False),
    ],
)
def test_pods_of_a_node_inside_of_this_one_are_not_ours(text: str, own: bool) -> None:
    assert (processes._OWN_POD.search(text) is not None) is own


def test_processes_are_found_by_what_the_kernel_says_of_them() -> None:
    me = os.getpid()
    assert processes.started(me) is not None
    assert processes.parent(me) == os.getppid()
    assert processes.first([me, os.getppid()]) == os.getppid()
    assert processes.of_container("") == processes.of_container("../..") == processes.of_pod("") == []
    with pytest.raises(RefusedError, match="no process of pod") as error:
        processes.pod_network("00000000-0000-4000-8000-000000000000")
    assert error.value.gone


@pytest.mark.parametrize("version", [1, 2])
def test_the_freezer_of_both_cgroup_versions(tmp_path: Path, version: int) -> None:
    switch, words = (("freezer.state", "THAWED FROZEN"), ("cgroup.freeze", "0 1"))[version - 1]
    running, frozen = words.split()
    (tmp_path / switch).write_text(running)
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    freezer.freeze(tmp_path)
    assert (tmp_path / switch).read_text() == frozen
    with pytest.raises(RefusedError, match="frozen already, and not by us"):
        freezer.freeze(tmp_path)
    assert freezer.thaw(tmp_path)
    assert not freezer.thaw(tmp_path)
    assert (tmp_path / switch).read_text() == running
    assert not freezer.thaw(tmp_path / "gone")


# -- the registry -----------------------------------------------------------------------------------------------------


def injection(**more: Any) -> Injection:
    told = {
        "id": "d7.0.0",
        "group": "d7.0",
        "owner": "d7",
        "kind": "freeze",
        "pod": "web-0",
        "uid": "u",
        "seconds": 60.0,
    }
    return Injection(**{**told, "container_id": "c", "parameters": {"workers": 2}, **more})


def test_an_entry_comes_back_as_it_was_written(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "faults")
    assert registry.entries() == []
    entry = registry.enter(injection(), folder="/x")
    assert registry.entries() == [entry]
    assert entry.guarded, "this process lives"
    assert entry.facts == {"folder": "/x"}
    registry.enter(injection(id="d8.0.0", owner="d8", group="d8.0"))
    assert [each.injection.owner for each in registry.entries("d7")] == ["d7"]
    assert [each.injection.owner for each in registry.entries(group="d8.0")] == ["d8"]
    registry.remove("d7.0.0")
    registry.remove("d7.0.0")
    assert registry.entries("d7") == []


def test_a_guard_is_known_by_its_start_too(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.enter(injection())
    file = tmp_path / "d7.0.0.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "guard_started": told["guard_started"] + 1}))
    assert not registry.entries()[0].guarded, "another process has its number"


def test_what_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"injection": ')
    (tmp_path / "other.json").write_text("[]")
    assert Registry(tmp_path).entries() == []


@pytest.mark.parametrize("bad", ["", "../x", "a b", "a\nb", "x" * 81, '"; drop'])
def test_names_that_could_be_mistaken_are_refused(bad: str) -> None:
    with pytest.raises(RefusedError, match="must be letters, digits"):
        injection(owner=bad)
    with pytest.raises(RefusedError, match="must be letters, digits"):
        injection(id=bad)
