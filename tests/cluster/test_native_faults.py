"""Each native fault bites real pods as it was asked to, and leaves nothing behind.

`pytest tests/cluster/test_native_faults.py --log-cli-level=INFO` prints what was asked for and what was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from scipy.stats import binom

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.native import processes
from chaos.cluster.native.injection import Injection
from chaos.cluster.native.node import Node
from chaos.cluster.native.watch import STRESS_ENDED
from chaos.cluster.pod import Pod, pod_of
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.injectors.native import AgentLink, NativeInjector, NativeNode
from chaos.injectors.native.injector import Settings
from chaos.injectors.native.testing import Client, Web, ask, ask_on, ask_steadily, network, traces
from chaos.world import WorldError

IMAGE, PAUSE = "rolloutlab.local/app:1", "rolloutlab.local/pause:1"
ALPHA = 1e-6  #: chance that a correct injector fails a test that counts
LOG = logging.getLogger("figures")
Note: TypeAlias = Callable[[str, object], None]


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Takes a figure down."""
    return lambda what, figure: LOG.info("%s: %s: %s", request.node.name, what, figure)


@pytest.fixture(scope="module")
def kube(node: Node) -> Kube:
    return Kube(str(node.kubeconfig))


@pytest.fixture(scope="module")
def web(kube: Kube) -> Iterator[Web]:
    made = Web(kube, f"faults-{uuid.uuid4().hex[:8]}", IMAGE, limits={"cpu": "100m", "memory": "96Mi"})
    made.start()
    yield made
    made.stop()


@contextlib.asynccontextmanager
async def fault(node: Node, web: Web, kube: Kube, kind: Any, **parameters: Any) -> AsyncIterator[NativeInjector]:
    """A fault that is in place in all pods; taken back at the end, and then nothing of it is left."""
    pods = web.pods()
    before = {pod.uid: network(pod) for pod in pods}
    link = AgentLink(NativeNode(node))
    settings = Settings(owner=web.namespace, pause_image=PAUSE, versions={"canary": "v2"}, longest_seconds=120)
    injector = NativeInjector(NodeFault(kind=kind, **parameters), settings, targets=web.pods, link=link, kube=kube)
    try:
        await injector.inject()
        async with asyncio.timeout(10):
            moment = await injector.await_injected()
        assert moment.lo <= moment.hi <= time.monotonic()
        yield injector
        await injector.recover()
        assert await injector.await_recovered() == []
        assert await injector.sweep() == []
        assert traces(web.pods()) == []
        for pod in web.pods():
            after = network(pod)
            assert not after or after == before.get(pod.uid, after)
    finally:
        await injector.recover()
        await link.close()


def counted(what: str, hit: int, of: int, ratio: float, note: Note) -> None:
    """A share that was asked for is the share that was seen, as far as chance allows."""
    lowest, highest = binom.ppf(ALPHA / 2, of, ratio), binom.isf(ALPHA / 2, of, ratio)
    note(what, f"asked {ratio:.0%}, seen {hit} of {of}, allowed {lowest:.0f} to {highest:.0f}")
    assert lowest <= hit <= highest, what


async def until(true: Callable[[], bool], what: str, seconds: float = 40) -> float:
    """Wait; how long it took."""
    began = time.monotonic()
    while not await asyncio.to_thread(true):
        assert time.monotonic() - began < seconds, f"it did not come: {what}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def ready(web: Web, count: int = 1) -> Callable[[], bool]:
    return lambda: [pod.ready for pod in web.pods() if not pod.terminating].count(True) == count


def unready(web: Web) -> Callable[[], bool]:
    return lambda: not any(pod.ready for pod in web.pods())


def injection(pod: Pod, kind: str, **parameters: Any) -> Injection:
    """One of a drill of its own."""
    more: dict[str, Any] = {"uid": pod.uid, "container_id": pod.container_id, "seconds": 60, "parameters": parameters}
    group = f"test.{kind}"
    return Injection(id=f"{group}.{pod.name}", group=group, owner="test", kind=kind, pod=pod.name, **more)


# -- packets ----------------------------------------------------------------------------------------------------------


def test_packet_delay(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "packet_delay", latency_seconds=0.2):
            answers = await ask_steadily(pod.ip, per_second=20, seconds=2)
        assert {each.status for each in answers} == {200}
        connects = [each.connect_seconds for each in answers]
        totals = [each.seconds for each in answers]
        middle, whole = statistics.median(connects), statistics.median(totals)
        note("connect", f"asked 200 ms, median {middle * 1000:.1f} ms")
        note("first byte", f"expected 400 ms, median {whole * 1000:.1f} ms")
        assert min(connects) >= 0.2, "no packet is early"
        assert min(totals) >= 0.4, "the handshake and the answer are each delayed"
        assert middle < 0.4 > whole / 2, "and not much later"
        assert statistics.median(each.seconds for each in await ask(pod.ip, count=20)) < 0.2

    asyncio.run(main())


def test_jitter_spreads_evenly(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "packet_delay", latency_seconds=0.4, jitter_seconds=0.2):
            answers = [each for _ in range(4) for each in await ask(pod.ip, count=50)]
        connects = sorted(each.connect_seconds for each in answers)
        note("connects", f"asked 200 to 600 ms, seen {connects[0]:.3f} to {connects[-1]:.3f} s")
        assert connects[0] >= 0.2
        # Uniform on [0.2, 0.6]: a quarter below 0.3. A slow machine makes them later, never earlier.
        early = sum(each < 0.3 for each in connects)
        assert 0 < early <= binom.isf(ALPHA, len(connects), 0.25), early
        assert connects[-1] > 0.5, "0.75^200 is the chance that none lies in the upper quarter"

    asyncio.run(main())


def test_packet_loss(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "packet_loss", loss_ratio=0.2):
            answers = await ask(pod.ip, count=150, timeout_seconds=20)
        # A handshake whose SYN-ACK was lost waits for a retransmission, which comes after 1 s.
        waited = sum(not each.connect_seconds < 0.9 for each in answers)
        counted("handshakes that lost a packet", waited, len(answers), 0.2, note)

    asyncio.run(main())


def test_partition(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        kept = Client(pod.ip)
        assert (await kept.ask()).status == 200
        async with fault(node, web, kube, "partition"):
            answers = await ask(pod.ip, count=5, timeout_seconds=2)
            assert {each.status for each in answers} == {0}
            assert all(each.seconds >= 2 for each in answers), "silence, not refusal"
            assert (await kept.ask(timeout_seconds=1)).status == 0, "open connections are cut too"
            kept.close()
            took = await until(unready(web), "the pod is not ready")
        note("not ready after", f"{took + 3:.1f} s at most, with 3 failures of a probe of 1 s")
        took = await until(ready(web), "the pod is ready again")
        note("ready again after", f"{took:.1f} s")
        assert (await ask(pod.ip))[0].status == 200

    asyncio.run(main())


def test_bandwidth(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async def bytes_per_second(requests: int) -> float:
            began = time.monotonic()
            answers = await ask_on(pod.ip, "/metrics", count=requests, timeout_seconds=30)
            assert {each.status for each in answers} == {200}
            return sum(each.size + 300 for each in answers) / (time.monotonic() - began)  # headers, frames

        free = await bytes_per_second(20)
        async with fault(node, web, kube, "bandwidth", rate_kbit_per_second=80):
            await bytes_per_second(1)  # the burst is spent
            limited = await bytes_per_second(5)
        ratio = limited / 10_000
        note("rate", f"asked 80 kbit/s, seen {limited * 8 / 1000:.1f} (before: {free * 8 / 1000:.0f})")
        assert 0.6 < ratio < 1.1
        assert free > 3 * limited

    asyncio.run(main())


# -- HTTP -------------------------------------------------------------------------------------------------------------


def test_http_abort_answers_for_the_pod(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "http_abort", share=0.3, exempt_paths=("/readyz",)):
            answers = [*await ask_on(pod.ip, count=400), *await ask(pod.ip, count=100)]
            probes = await ask_on(pod.ip, "/readyz", count=50)
        failed = [each for each in answers if each.status == 503]
        assert {each.status for each in answers} == {200, 503}
        counted("requests that failed", len(failed), len(answers), 0.3, note)
        for each in answers:  # whoever answers, it is this pod of this version
            assert each.headers["x-version"] == "v2"
            assert each.headers["x-pod"] == pod.name
            assert each.headers["x-revision"] == "canary"
        assert all(each.headers["x-rolloutlab-fault"] == "http_abort" for each in failed)
        assert {each.status for each in probes} == {200}
        assert web.pods()[0].ready

    asyncio.run(main())


def test_http_delay(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "http_delay", latency_seconds=2.0, share=0.5):
            answers = await ask_steadily(pod.ip, per_second=30, seconds=4)  # and four probes
            assert web.pods()[0].ready, "the pod stays ready, as probes are exempt"
        slow = [each.seconds for each in answers if each.seconds >= 2.0]
        assert {each.status for each in answers} == {200}
        counted("requests that waited", len(slow), len(answers), 0.5, note)
        note("latency", f"asked 2000 ms, median {statistics.median(slow) * 1000:.0f} ms")
        quick = [each.seconds for each in answers if each.seconds < 2.0]
        assert statistics.median(quick) < 1.0

    asyncio.run(main())


def test_connections_that_were_open_before_are_hit_and_no_request_is_lost(
    node: Node, web: Web, kube: Kube, note: Note
) -> None:
    """As a router holds them: each is used again and again, with pauses."""
    (pod,) = web.scale(1)

    async def use(client: Client, found: list[tuple[float, int]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            answer = await client.ask()
            found.append((time.monotonic(), answer.status))
            await asyncio.sleep(0.1)

    async def main() -> None:
        clients, found, stop = [Client(pod.ip) for _ in range(8)], list[tuple[float, int]](), asyncio.Event()
        users = [asyncio.create_task(use(each, found, stop)) for each in clients]
        await asyncio.sleep(1.0)
        async with fault(node, web, kube, "http_abort", share=1.0):
            began = time.monotonic()
            await asyncio.sleep(2.0)
            ended = time.monotonic()
        await asyncio.sleep(2.0)
        stop.set()
        await asyncio.gather(*users)
        for client in clients:
            client.close()
        settled = [status for at, status in found if began + 1.0 < at < ended]
        passed = max((at - began for at, status in found if began < at < ended and status == 200), default=0.0)
        lost = sum(status == 0 for _, status in found)
        note("open connections", f"last answer of the pod {passed:.2f} s after; {lost} of {len(found)} lost")
        assert set(settled) == {503}
        assert found[-1][1] == 200
        # Each of 8 is ended once while idle and once at the end; a request that meets the end of its connection is lost.
        assert lost <= 4

    asyncio.run(main())


# -- processes --------------------------------------------------------------------------------------------------------


def test_freeze(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "freeze"):
            answers = await ask(pod.ip, count=3, timeout_seconds=1)
            assert {each.status for each in answers} == {0}
            waiting = asyncio.create_task(ask(pod.ip, timeout_seconds=30))
            await asyncio.sleep(1.0)
            assert not waiting.done()
        (late,) = await waiting
        assert late.status == 200, "what waited is answered in the end"
        note("a request that came while it was frozen", f"answered after {late.seconds:.2f} s")
        assert web.pods()[0].life == pod.life

    asyncio.run(main())


def test_a_frozen_pod_that_is_deleted_goes_when_the_fault_does(node: Node, web: Web, kube: Kube) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "freeze"):
            kube.delete(POD, pod.name, web.namespace)
            await asyncio.sleep(2.0)
        await until(lambda: not processes.of_pod(pod.uid), "its processes are gone")

    asyncio.run(main())


def test_cpu_stress(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async def typical() -> float:
            """Not one request after the other: these would come in bursts, when the container has its time."""
            return statistics.median(each.seconds for each in await ask_steadily(pod.ip, per_second=5, seconds=4))

        before = await typical()
        async with fault(node, web, kube, "cpu_stress", workers=4):
            during = await typical()
            assert web.pods()[0].life == pod.life
        after = await typical()
        note("median", f"{before * 1000:.1f} ms, then {during * 1000:.1f} ms, then {after * 1000:.1f} ms")
        assert during > 5 * before
        assert during > 5 * after

    asyncio.run(main())


def _used_mib(pod: Pod) -> float:
    folder = processes.cgroup(processes.of_container(pod.container_id)[0], "memory")
    return int((folder / "memory.usage_in_bytes").read_text()) / (1 << 20)


def test_memory_stress(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        before = _used_mib(pod)
        async with fault(node, web, kube, "memory_stress", mib=32):
            await until(lambda: _used_mib(pod) > before + 31, "the memory is taken")
            during = _used_mib(pod)
            assert {each.status for each in await ask(pod.ip, count=10)} == {200}
        after = _used_mib(pod)
        note("memory", f"asked 32 MiB, {before:.1f} MiB before, {during:.1f} during, {after:.1f} after")
        assert during < before + 48
        assert after < before + 16
        assert web.pods()[0].life == pod.life

    asyncio.run(main())


def test_memory_that_is_more_than_the_limit_ends_the_stress_or_the_container(
    node: Node, web: Web, kube: Kube, note: Note
) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "memory_stress", mib=400) as injector:
            bearing = injector.bearings[pod.container_id]
            await until(lambda: bearing.until is not None, "the kernel has killed somebody")
            note("more than the limit", bearing.why)
            assert await injector.ensure() == [] or bearing.why != STRESS_ENDED

    asyncio.run(main())


# -- the end of containers and pods -----------------------------------------------------------------------------------


def test_container_kill(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "container_kill") as injector:
            await injector.inject()  # twice is once
            took = await until(lambda: web.pods()[0].restarts == pod.restarts + 1, "it is restarted")
            took += await until(ready(web), "it is ready")
            assert await injector.ensure() == []
        note("ready again after", f"{took:.1f} s")
        (now,) = web.pods()
        assert (now.uid, now.restarts) == (pod.uid, pod.restarts + 1)

    asyncio.run(main())


def test_pod_kill(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "pod_kill") as injector:
            took = await until(lambda: pod.uid not in {each.uid for each in web.pods()}, "it is gone")
            took += await until(ready(web), "another one is ready")
            assert await injector.ensure() == [], "who comes in its place is left alone"
        note("replaced after", f"{took:.1f} s")
        assert pod.uid not in {each.uid for each in web.pods()}

    asyncio.run(main())


def test_pod_failure(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (pod,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "pod_failure"):
            assert {each.status for each in await ask(pod.ip, count=3, timeout_seconds=1)} == {0}
            took = await until(unready(web), "the pod is not ready")
            note("not ready after", f"{took:.1f} s")
        took = await until(ready(web), "the pod is ready again")
        note("ready again after", f"{took:.1f} s")
        (now,) = web.pods()
        assert now.uid == pod.uid
        assert (await ask(pod.ip))[0].headers["x-version"] == "v2"

    asyncio.run(main())


# -- targets ----------------------------------------------------------------------------------------------------------


def test_ensure_hits_a_pod_that_comes_later(node: Node, web: Web, kube: Kube, note: Note) -> None:
    (first,) = web.scale(1)

    async def main() -> None:
        async with fault(node, web, kube, "packet_delay", latency_seconds=0.2) as injector:
            assert await injector.ensure() == []
            later = next(pod for pod in await asyncio.to_thread(web.scale, 2) if pod.uid != first.uid)
            assert (await ask(later.ip))[0].connect_seconds < 0.2
            began = time.monotonic()
            assert await injector.ensure() == [later.name]
            note("ensure", f"one pod in {(time.monotonic() - began) * 1000:.0f} ms")
            assert (await ask(later.ip))[0].connect_seconds >= 0.2
            assert sorted(await injector._bearers()) == sorted([first.name, later.name])

    asyncio.run(main())


def test_a_few_replicas_are_hit_and_a_restarted_container_is_hit_again(node: Node, web: Web, kube: Kube) -> None:
    one, other = web.scale(2)

    async def main() -> None:
        async with fault(node, web, kube, "cpu_stress", replicas=1) as injector:
            (bearing,) = injector.bearings.values()
            assert bearing.pod.uid == one.uid
            await injector._link.kill(injection(one, "container_kill"))
            await until(lambda: bearing.until is not None, "its stress has ended with it")
            await until(lambda: web.pods()[0].restarts == one.restarts + 1 and web.pods()[0].running, "it is restarted")
            assert await injector.ensure() == [one.name]
            assert {each.pod.uid for each in injector.bearings.values()} == {one.uid}
            assert other.life in {each.life for each in web.pods()}

    asyncio.run(main())


def test_a_pod_with_the_network_of_its_node_is_refused(node: Node, web: Web, kube: Kube) -> None:
    container = {"name": "app", "image": PAUSE, "imagePullPolicy": "Never"}
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 0, "containers": [container]}
    kube.create(POD, {"metadata": {"name": "host"}, "spec": spec}, web.namespace)

    def host() -> Pod:
        found = kube.get(POD, "host", web.namespace)
        assert found is not None
        return pod_of(found)

    async def main() -> None:
        link = AgentLink(NativeNode(node))
        try:
            await until(lambda: host().running, "it runs")
            with pytest.raises(WorldError, match="the network of its node"):
                await link.place(injection(host(), "partition"))
        finally:
            kube.delete(POD, "host", web.namespace, grace_seconds=0)
            await link.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", NODE_FAULTS)
def test_every_kind_has_a_test(kind: str) -> None:
    assert f'kube, "{kind}"' in Path(__file__).read_text()
