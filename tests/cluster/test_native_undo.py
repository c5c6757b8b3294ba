"""Whatever is killed, a native fault does not outlive those who wanted it, or a sweep takes it back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.native.node import Node
from chaos.cluster.native.registry import FOLDER
from chaos.cluster.pod import Pod
from chaos.faults.node import NODE_FAULTS, ONE_SHOT, NodeFault
from chaos.injectors.native import AgentLink, NativeInjector, NativeNode, sweep
from chaos.injectors.native.api import FAILED_BY, fail
from chaos.injectors.native.injector import Settings
from chaos.injectors.native.testing import Web, ask, network, traces
from chaos.world import WorldError

IMAGE = "rolloutlab.local/app:1"
OWNERS = (
    "terminated",
    "killed",
    "all-killed",
    "living",
    "lost",
    "guard",
    "agent",
    "ensured",
    "short",
    "halfway",
    "first",
)
#: faults that stay, all at once in one pod, each so that it would be noticed
HTTP: dict[str, dict[str, object]] = {"http_abort": {"share": 1.0}, "http_delay": {"latency_seconds": 0.3}}
OTHERS: dict[str, dict[str, object]] = {
    "partition": {},
    "packet_delay": {"latency_seconds": 0.3},
    "packet_loss": {"loss_ratio": 1.0},
    "bandwidth": {"rate_kbit_per_second": 8},
    "freeze": {},
    "cpu_stress": {"workers": 2},
    "memory_stress": {"mib": 16},
}
#: a harness: holds faults in a pod until SIGTERM
HOLD = """
import asyncio, json, signal, sys
from chaos.cluster.native.node import need
from chaos.cluster.pod import Pod
from chaos.faults.node import NODE_FAULTS, ONE_SHOT, NodeFault
from chaos.injectors.native import AgentLink, NativeInjector, NativeNode
from chaos.injectors.native.injector import Settings

async def main(pod, faults, owner):
    link, injectors, stop = AgentLink(NativeNode(need())), [], asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for number, (kind, parameters) in enumerate(faults.items()):
        settings = Settings(owner=owner, number=number)
        fault = NodeFault(kind=kind, on="both", **parameters)
        injectors.append(NativeInjector(fault, settings, targets=lambda: [pod], link=link))
        await injectors[-1].inject()
    print("placed", flush=True)
    await stop.wait()
    for injector in injectors:
        await injector.recover()
        assert await injector.await_recovered() == []
    await link.close()

pod, faults, owner = map(json.loads, sys.argv[1:])
asyncio.run(main(Pod(**pod), faults, owner))
"""


@pytest.fixture(scope="module")
def kube(node: Node) -> Kube:
    return Kube(str(node.kubeconfig))


@pytest.fixture(scope="module")
def web(kube: Kube) -> Iterator[Web]:
    made = Web(kube, f"undo-{uuid.uuid4().hex[:8]}", IMAGE, limits={"cpu": "200m", "memory": "96Mi"})
    made.start()
    yield made
    made.stop()


@pytest.fixture
def pod(web: Web) -> Iterator[Pod]:
    (found,) = web.scale(1)
    before = network(found)
    assert traces([found]) == []
    yield found
    assert traces([found]) == []
    assert network(found) == before


class Harness:
    """A process that holds faults, as the harness of a drill would; with its agent and the guards."""

    def __init__(self, pod: Pod, faults: Mapping[str, Mapping[str, object]], owner: str) -> None:
        arguments = [json.dumps(each) for each in (asdict(pod), faults, owner)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "placed\n", self.process.communicate()

    def agents(self) -> list[int]:
        """The agent, and then its guards."""
        return [
            pid
            for pid in _family(self.process.pid)[1:]
            if "chaos.cluster.native" in _command(pid) and "nsenter" not in _command(pid)
        ]

    def kill_all(self) -> None:
        """SIGKILL to it, its agent and its guards, so that none sees another one die."""
        pids = _family(self.process.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in reversed(pids):
                os.kill(pid, number)
        self.process.communicate(timeout=30)

    def end(self) -> None:
        """End it, and reap it."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def hold() -> Iterator[Callable[..., Harness]]:
    """Starts harnesses; none outlives its test."""
    made: list[Harness] = []

    def start(pod: Pod, faults: Mapping[str, Mapping[str, object]], owner: str) -> Harness:
        made.append(Harness(pod, faults, owner))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill_all()


def _family(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    found = [pid]
    for each in found:
        found += _children(each)
    return found


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def until(true: Callable[[], bool], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not come: {what}"
        time.sleep(0.05)


def swept(node: Node, web: Web, kube: Kube, owner: str | None) -> tuple[list[str], list[str]]:
    return asyncio.run(sweep(NativeNode(node), kube, web.namespace, owner))


def entries(node: Node) -> list[str]:
    """What the registry holds of these tests; others make faults meanwhile."""
    folder = Path(f"/proc/{node.pid}/root") / FOLDER.relative_to("/")
    names = [path.name for path in folder.glob("*")] if folder.is_dir() else []
    return sorted(name for name in names if name.split(".")[0] in OWNERS)


def test_every_kind_that_stays_is_here() -> None:
    assert {*HTTP, *OTHERS} == {*NODE_FAULTS} - {*ONE_SHOT} - {"pod_failure"}


@pytest.mark.parametrize("http", HTTP)
def test_sigterm_to_the_harness_takes_all_back(pod: Pod, node: Node, hold: Callable[..., Harness], http: str) -> None:
    faults = {http: HTTP[http], **OTHERS}
    harness = hold(pod, faults, "terminated")
    assert len(entries(node)) == len(faults)
    assert len(traces([pod])) >= len(faults)
    harness.process.terminate()
    assert harness.process.communicate(timeout=30) == ("", "")
    assert harness.process.returncode == 0
    assert entries(node) == []
    assert traces([pod]) == []
    assert {each.status for each in asyncio.run(ask(pod.ip))} == {200}


def test_a_killed_harness_takes_all_with_it(pod: Pod, node: Node, hold: Callable[..., Harness]) -> None:
    harness = hold(pod, {"http_abort": HTTP["http_abort"], **OTHERS}, "killed")
    agents = harness.agents()
    assert len(agents) == 9
    harness.process.kill()
    harness.end()
    until(lambda: entries(node) == [] and traces([pod]) == [], "nothing is left")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in agents), "the agent and its guards have ended")
    assert {each.status for each in asyncio.run(ask(pod.ip))} == {200}


def test_a_sweep_takes_back_what_is_left_when_all_are_killed_at_once(
    web: Web, pod: Pod, node: Node, hold: Callable[..., Harness], kube: Kube
) -> None:
    harness = hold(pod, {"http_abort": HTTP["http_abort"], **OTHERS}, "all-killed")
    living = hold(pod, {"packet_loss": OTHERS["packet_loss"]}, "living")
    harness.kill_all()
    assert len(entries(node)) == 9
    done, left = swept(node, web, kube, "all-killed")
    assert left == []
    assert len(done) == 8
    assert [each.split(".")[0] for each in entries(node)] == ["living"], "what another one has is left alone"
    assert [each.split("/")[1] for each in traces([pod])] == ["living"]
    assert swept(node, web, kube, None) == ([], []), "and somebody looks after it"
    assert len(traces([pod])) == 1
    living.end()
    assert {each.status for each in asyncio.run(ask(pod.ip))} == {200}


def test_a_sweep_looks_into_the_pods_where_the_registry_is_lost(
    web: Web, pod: Pod, node: Node, hold: Callable[..., Harness], kube: Kube
) -> None:
    """A frozen container cannot be told from one that somebody else has frozen: that is known by the registry only."""
    faults = {"http_abort": HTTP["http_abort"], **OTHERS}
    del faults["freeze"]
    harness = hold(pod, faults, "lost")
    harness.kill_all()
    folder = Path(f"/proc/{node.pid}/root") / FOLDER.relative_to("/")
    for name in entries(node):
        (folder / name).unlink()
    before = [each for each in traces([pod]) if "process" not in each]  # stress dies with its guard by itself
    assert swept(node, web, kube, "somebody-else") == ([], [])
    assert [each for each in traces([pod]) if "process" not in each] == before
    done, left = swept(node, web, kube, None)
    assert left == []
    assert len(done) >= 8  # the two ways of a partition, two of a redirection, a loss, a delay, a limit and its mark
    assert traces([pod]) == []


def test_the_agent_takes_back_what_killed_guards_had_in_place(
    pod: Pod, node: Node, hold: Callable[..., Harness]
) -> None:
    harness = hold(pod, {"http_abort": HTTP["http_abort"], **OTHERS}, "guard")
    agent, *guards = harness.agents()
    assert set(guards) <= set(_children(agent))
    for guard in guards:
        os.kill(guard, signal.SIGKILL)
    until(lambda: entries(node) == [] and traces([pod]) == [], "nothing is left")
    assert Path(f"/proc/{agent}").exists()
    harness.end()


def test_guards_take_back_what_they_have_in_place_when_their_agent_is_killed(
    pod: Pod, node: Node, hold: Callable[..., Harness]
) -> None:
    harness = hold(pod, {"http_abort": HTTP["http_abort"], **OTHERS}, "agent")
    os.kill(harness.agents()[0], signal.SIGKILL)
    until(lambda: entries(node) == [] and traces([pod]) == [], "nothing is left")
    harness.end()


def test_a_killed_guard_and_a_killed_agent_are_made_up_for_by_ensure(web: Web, pod: Pod, node: Node) -> None:
    async def main() -> None:
        link = AgentLink(NativeNode(node))
        fault = NodeFault(kind="packet_delay", latency_seconds=0.3)
        injector = NativeInjector(fault, Settings(owner="ensured"), targets=lambda: [pod], link=link)
        await injector.inject()
        assert link._process is not None
        for victim in (1, 0):
            agents = [pid for pid in _family(link._process.pid) if "nsenter" not in _command(pid)]
            os.kill(agents[victim], signal.SIGKILL)
            while injector.bearings[pod.uid].until is None:
                await asyncio.sleep(0.05)
            assert await injector.ensure() == [pod.name]
            assert await injector.ensure() == []
            assert (await ask(pod.ip))[0].connect_seconds >= 0.3
        await injector.recover()
        await injector.recover()
        assert await injector.await_recovered() == []
        assert (await ask(pod.ip))[0].connect_seconds < 0.3
        await link.close()

    asyncio.run(main())


def test_it_ends_by_itself_and_is_not_made_again(web: Web, pod: Pod, node: Node) -> None:
    async def main() -> None:
        link = AgentLink(NativeNode(node))
        settings = Settings(owner="short", longest_seconds=1.0)
        injector = NativeInjector(NodeFault(kind="partition"), settings, targets=lambda: [pod], link=link)
        await injector.inject()
        began = time.monotonic()
        while injector.bearings[pod.uid].until is None:
            await asyncio.sleep(0.05)
        assert time.monotonic() - began >= 0.9
        assert await injector.ensure() == []
        assert traces([pod]) == []
        assert {each.status for each in await ask(pod.ip)} == {200}
        await link.close()

    asyncio.run(main())


def test_recover_in_the_middle_of_inject(web: Web, pod: Pod, node: Node) -> None:
    async def main() -> None:
        for wait in (0.0, 0.01, 0.05):
            link = AgentLink(NativeNode(node))
            fault = NodeFault(kind="http_abort", share=1.0)
            injector = NativeInjector(fault, Settings(owner="halfway"), targets=lambda: [pod], link=link)
            if wait:
                await link.start()
            injecting = asyncio.create_task(injector.inject())
            await asyncio.sleep(wait)
            injecting.cancel()
            await injector.recover()
            assert await injector.await_recovered() == []
            assert traces([pod]) == [], wait
            await link.close()
            assert traces([pod]) == [], wait

    asyncio.run(main())


def test_what_would_spoil_another_fault_is_refused(
    web: Web, pod: Pod, node: Node, hold: Callable[..., Harness]
) -> None:
    harness = hold(pod, {"http_abort": HTTP["http_abort"]}, "first")

    async def main() -> None:
        link = AgentLink(NativeNode(node))
        fault = NodeFault(kind="http_delay", latency_seconds=0.1)
        injector = NativeInjector(fault, Settings(owner="second"), targets=lambda: [pod], link=link)
        with pytest.raises(WorldError, match="bears http_abort of first already"):
            await injector.inject()
        await injector.recover()
        await link.close()

    asyncio.run(main())
    assert traces([pod]) != [], "the first one is still there"
    harness.end()


def test_a_sweep_gives_a_failed_pod_its_image_again(web: Web, node: Node, kube: Kube) -> None:
    (pod,) = web.scale(1)
    pause = "rolloutlab.local/pause:1"
    asyncio.run(fail(kube, pod, pause, "failed"))
    assert web.pods()[0].uid == pod.uid
    assert {each.status for each in asyncio.run(ask(pod.ip, timeout_seconds=1))} == {0}
    assert swept(node, web, kube, "another") == ([], [])
    assert swept(node, web, kube, "failed") == ([f"pod_failure of pod {pod.name}"], [])
    assert swept(node, web, kube, "failed") == ([], [])
    (now,) = web.scale(1)
    assert now.uid == pod.uid
    found = kube.get(POD, pod.name, web.namespace)
    assert found is not None
    assert found["spec"]["containers"][0]["image"] == IMAGE
    assert FAILED_BY not in found["metadata"]["labels"]
    assert "annotations" not in found["metadata"]
