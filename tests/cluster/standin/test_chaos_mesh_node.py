"""Chaos Mesh on a real API server: its CRDs take what is built, and its injector works with real pods and real faults.

The controller is the stand-in, which is test equipment: `engine: stand-in`. Real Chaos Mesh runs in `make kind-test`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chaos_mesh_objects as drawn
import pytest
import standin_controller
from hypothesis import HealthCheck, given, settings
from standin_world import World, median_seconds, run, stressing, took_seconds, wait

from chaos.cluster.kinds import CONFIG_MAP, NAMESPACE, NETWORK_CHAOS, POD, POD_CHAOS, STRESS_CHAOS
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.native.node import CONTEXT, Node
from chaos.cluster.pod import Pod
from chaos.faults.chaos_mesh import (
    Chaos,
    Cpu,
    Identity,
    Partition,
    Passthrough,
    PodChaos,
    Selector,
    StressChaos,
    Target,
    manifest,
)
from chaos.injectors import chaos_mesh_objects as objects
from chaos.injectors.chaos_mesh import ChaosMesh, MeshFault
from chaos.injectors.chaos_mesh_ledger import Place
from chaos.world import WorldError


@pytest.fixture(scope="module")
def kube(node: Node) -> Iterator[Kube]:
    """The node's API server, with the CRDs of Chaos Mesh."""
    folder = os.environ.get("ROLLOUTLAB_CRDS")
    if not folder:
        pytest.skip("definitions of Chaos Mesh: set ROLLOUTLAB_CRDS to a folder that holds them")
    made = Kube(str(node.kubeconfig), CONTEXT)
    kubectl = [node.folder / "bin" / "kubectl", f"--kubeconfig={node.kubeconfig}"]
    # By its own field manager, and not as we would: two of the definitions are larger than a client-side apply may be.
    apply = [*kubectl, "apply", "--server-side", "--force-conflicts", f"--filename={Path(folder) / 'chaos-mesh'}"]
    subprocess.run(apply, check=True, capture_output=True, timeout=120)
    wait(lambda: {NETWORK_CHAOS, STRESS_CHAOS, POD_CHAOS} <= set(objects.kinds(made)), 30)
    return made


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    """One for all tests: to delete one takes longer than most of them."""
    name = f"mesh-{uuid.uuid4().hex[:8]}"
    kube.create(NAMESPACE, {"metadata": {"name": name, "labels": {"rolloutlab/allowed": "true"}}})
    standin_controller.install(kube)
    yield name
    standin_controller.uninstall(kube)
    kube.delete(NAMESPACE, name)
    wait(lambda: kube.get(NAMESPACE, name) is None, 120)


@pytest.fixture
def world(kube: Kube, node: Node, namespace: str) -> Iterator[World]:
    made = World(kube, node, namespace)
    made.standin.start()
    yield made
    left = run(objects.remove(kube, namespace, seconds=20))
    made.standin.stop()
    made.actor.close()
    for pod in made.pods():
        kube.delete(POD, pod.name, namespace, grace_seconds=0)
    assert left == []


# --- what the API server says of manifests --------------------------------------------------------------------------


def test_the_api_server_takes_everything_that_can_be_built(kube: Kube, namespace: str) -> None:
    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(drawn.objects, drawn.identities)
    def check(chaos: Chaos, who: Identity) -> None:
        body = manifest(chaos, who)
        text = str(body).replace(f"'{drawn.NAMESPACE}'", f"'{namespace}'")
        assert text  # the namespace of the selector is only a name here
        body["metadata"]["namespace"] = namespace
        made = kube.create(chaos.kind, body, namespace, dryRun="All", fieldValidation="Strict")
        assert without_defaults(made["spec"]) == without_defaults(body["spec"])  # nothing was pruned

    check()


def without_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    """But for what the CRD adds: a direction to network faults."""
    inner = {key: without_defaults(value) if key.endswith("Chaos") else value for key, value in spec.items()}
    return {key: value for key, value in inner.items() if key != "direction"}


def test_the_api_server_checks_what_is_passed_through(kube: Kube, namespace: str) -> None:
    target = Target(Selector(namespace=namespace, pods=("web-1",)))
    wrong = Passthrough(
        name="IOChaos", fields={"action": "latencies", "volumePath": "/"}, target=target, duration_seconds=5
    )
    place = Place(kube=kube, namespace=namespace, drill="d1", expires_at=time.time() + 60)
    fault = MeshFault(number=0, kind="io", chaos=wrong, revisions=("canary",))
    with pytest.raises(WorldError, match=r'spec.action: Unsupported value: "latencies"'):
        run(ChaosMesh(fault, place, list).check())
    gone = Passthrough(name="BlockChaos", fields={"action": "delay"}, target=target, duration_seconds=5)
    fault = MeshFault(number=0, kind="block", chaos=gone, revisions=("canary",))
    with pytest.raises(WorldError, match="this cluster has no BlockChaos"):
        run(ChaosMesh(fault, place, list).check())
    assert not objects.ours(kube, namespace)


# --- faults in real pods --------------------------------------------------------------------------------------------


def test_a_delay_is_felt_and_goes_again(world: World) -> None:
    pod = world.start_pod("web-1")
    before = median_seconds(pod)
    injector = world.injector(world.network())

    async def play() -> float:
        await injector.check()
        asked = time.monotonic()
        await injector.inject()
        placed = await injector.await_injected()
        assert asked <= placed.lo <= placed.hi <= time.monotonic()
        slow = await asyncio.to_thread(median_seconds, pod, 5)
        await injector.recover()
        assert await injector.await_recovered() == []
        return slow

    slow = run(play())
    assert slow > before + 0.55  # at the handshake and at the answer: about twice 0.3 s
    assert median_seconds(pod) < before + 0.25
    assert injector.plan().engine == "stand-in"
    covered = injector.coverage()
    assert covered is not None
    assert 0 < covered.share <= 1
    assert world.left() == []


def test_a_partition_cuts_off_and_a_pod_that_appears_later_is_cut_off_too(world: World) -> None:
    first = world.start_pod("web-1")
    injector = world.injector(world.network(Partition(), direction="both"))

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()
        assert await asyncio.to_thread(took_seconds, first, 2) == float("inf")
        late = await asyncio.to_thread(world.start_pod, "web-2")
        assert await asyncio.to_thread(took_seconds, late) < 2
        fresh: list[str] = []
        while not fresh:
            fresh = await injector.ensure()
            await asyncio.sleep(0.05)
        assert fresh == ["web-2"]
        assert await asyncio.to_thread(took_seconds, late, 2) == float("inf")
        assert len(world.left()) == 2
        await injector.recover()
        assert await injector.await_recovered() == []
        assert await asyncio.to_thread(took_seconds, first) < 2
        assert await asyncio.to_thread(took_seconds, late) < 2

    run(play())


def test_cpu_stress_slows_a_pod_and_is_given_anew_to_a_restarted_container(world: World) -> None:
    pod = world.start_pod("web-1", cpu="100m")
    before = median_seconds(pod)
    stress = world.injector(
        StressChaos(target=world.target(), duration_seconds=1, cpu=Cpu(4), containers=("app",)), number=1
    )
    kill = world.injector(
        PodChaos(action="container-kill", target=world.target(), duration_seconds=1, containers=("app",)), number=2
    )

    async def play() -> None:
        await stress.inject()
        await stress.await_injected()
        assert stressing(pod) >= 4
        await asyncio.to_thread(wait, lambda: median_seconds(pod) > 10 * before, 60)
        await kill.inject()
        await kill.await_injected()
        await asyncio.to_thread(wait, lambda: world.pod("web-1").restarts == 1 and world.pod("web-1").running, 60)
        fresh: list[str] = []
        while not fresh:
            fresh = await stress.ensure()
            await asyncio.sleep(0.05)
        assert fresh == ["web-1"]
        assert stressing(world.pod("web-1")) >= 4
        for injector in (kill, stress):
            await injector.recover()
            assert await injector.await_recovered() == []

    run(play())
    assert stressing(world.pod("web-1")) == 0
    wait(lambda: median_seconds(pod) < 10 * before, 60)
    assert world.left() == []


def test_a_pod_kill_happens_once(world: World) -> None:
    world.start_pod("web-1")
    injector = world.injector(PodChaos(action="pod-kill", target=world.target(), duration_seconds=1))

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()
        await asyncio.to_thread(wait, lambda: not world.pods(), 30)
        await asyncio.to_thread(world.start_pod, "web-2")
        assert await injector.ensure() == []
        await injector.recover()
        assert await injector.await_recovered() == []

    run(play())
    assert world.pod("web-2").ready


def test_a_pod_failure_stops_the_pod_and_gives_it_back(world: World) -> None:
    world.start_pod("web-1")
    injector = world.injector(PodChaos(action="pod-failure", target=world.target(), duration_seconds=1))

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()
        await asyncio.to_thread(wait, lambda: not world.pod("web-1").ready, 60)
        assert await injector.ensure() == []
        await injector.recover()
        assert await injector.await_recovered() == []
        await asyncio.to_thread(wait, lambda: world.pod("web-1").ready, 90)

    run(play())


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_pod_that_is_gone_is_not_selected_and_the_wait_ends_with_the_event(world: World) -> None:
    world.patience = 3
    ghost = Pod(name="ghost", namespace=world.namespace, uid="1", revision="canary", running=True, ready=True)
    injector = world.injector(world.network())
    injector._pods = lambda: [ghost]

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()

    text = rf"NetworkChaos {world.namespace}/rolloutlab-d1-0-\S+ was not in place within 3 s: no pod was selected.*"
    with pytest.raises(WorldError, match=text + "Failed to select targets: no pod is selected"):
        run(play())


def test_what_the_controller_cannot_do_is_told_with_the_pod(world: World) -> None:
    world.start_pod("web-1")
    world.patience = 3
    injector = world.injector(world.network(Partition(), direction="to"))

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()

    text = f"{world.namespace}/web-1: the stand-in cannot do NetworkChaos partition"
    with pytest.raises(WorldError, match=text):
        run(play())
    # What is half put on is put on before it is taken off, without end: such an object does not go by itself.
    run(injector.recover())
    (left,) = run(injector.await_recovered())
    assert f"is deleted but held by its finalizer; no pod under fault ({text})" in left
    assert "chaos-mesh.chaos-mesh.org/cleanFinalizer=forced" in left  # which is told, and not done
    (name,) = world.left()
    force = {"metadata": {"annotations": {"chaos-mesh.chaos-mesh.org/cleanFinalizer": "forced"}}}
    world.kube.patch(NETWORK_CHAOS, name, force, world.namespace)
    wait(lambda: world.left() == [], 20)


def test_a_spec_cannot_be_changed(world: World) -> None:
    body = manifest(world.network(), identity(world))
    world.kube.create(NETWORK_CHAOS, body, world.namespace)
    path, content = NETWORK_CHAOS.path(world.namespace, "x"), "application/merge-patch+json"

    def refused() -> bool:
        try:  # a policy needs some seconds until the server heeds it
            world.kube.request("PATCH", path, {"spec": {"duration": "99s"}}, content=content, dryRun="All")
        except ApiError as error:
            return "Cannot update chaos spec" in str(error)
        return False

    wait(refused, 30)
    world.kube.patch(NETWORK_CHAOS, "x", {"metadata": {"annotations": {"a": "b"}}}, world.namespace)


def identity(world: World, **more: Any) -> Identity:
    facts = {"name": "x", "namespace": world.namespace, "drill": "d1", "expires_at": time.time() + 60, **more}
    return Identity(**facts)


def test_without_a_controller_a_duration_means_nothing_and_the_sweep_says_so(world: World) -> None:
    pod = world.start_pod("web-1")
    before = median_seconds(pod)
    now = time.time()
    body = manifest(world.network().aimed(world.target(), 10), identity(world, expires_at=now - 40))
    world.kube.create(NETWORK_CHAOS, body, world.namespace)
    wait(lambda: bool(world.bearers()), 10)
    world.standin.stop()  # the controller dies; the fault stays in the pod
    time.sleep(max(0.0, now + 12 - time.time()))  # until the duration is over
    assert median_seconds(pod, 3) > before + 0.5
    swept = run(objects.sweep_expired(world.kube, world.namespace, seconds=2))
    text = f"NetworkChaos {world.namespace}/x is deleted but held by its finalizer; web-1 under fault"
    assert len(swept.left) == 1
    assert swept.left[0].startswith(text)
    assert "s after its time" in swept.late[0]
    world.standin.start()  # and comes back: what was asked for happens
    assert run(objects.remove(world.kube, world.namespace, seconds=20)) == []
    assert median_seconds(pod) < before + 0.25


def test_a_duration_ends_a_fault_that_nobody_takes_back(world: World) -> None:
    pod = world.start_pod("web-1")
    before = median_seconds(pod)
    world.kube.create(
        NETWORK_CHAOS, manifest(world.network().aimed(world.target(), 4), identity(world)), world.namespace
    )
    wait(lambda: median_seconds(pod, 3) > before + 0.5, 20)
    wait(lambda: median_seconds(pod, 3) < before + 0.25, 30)
    assert world.left() == ["x"]  # the object stays, and says so
    assert run(objects.sweep_expired(world.kube, world.namespace, seconds=10, now=time.time() + 100)).left == []
    assert world.left() == []


def test_objects_go_with_their_owner(world: World) -> None:
    pod = world.start_pod("web-1")
    before = median_seconds(pod)
    owner = world.kube.create(CONFIG_MAP, {"metadata": {"name": "journal"}}, world.namespace)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "journal", "uid": owner["metadata"]["uid"]}
    injector = world.injector(world.network(), owners=(reference,))

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()

    run(play())
    assert median_seconds(pod, 3) > before + 0.5
    world.kube.delete(CONFIG_MAP, "journal", world.namespace)
    wait(lambda: world.left() == [], 60)
    assert median_seconds(pod) < before + 0.25


def test_a_killed_harness_leaves_objects_that_another_process_sweeps_by_label(world: World, node: Node) -> None:
    pod = world.start_pod("web-1")
    before = median_seconds(pod)
    program = textwrap.dedent(
        f"""
        import asyncio, sys, time
        from chaos.cluster.kinds import POD
        from chaos.cluster.kube import Kube
        from chaos.cluster.pod import pod_of
        from chaos.faults.chaos_mesh import Delay, NetworkChaos, Selector, Target
        from chaos.injectors.chaos_mesh import ChaosMesh, MeshFault
        from chaos.injectors.chaos_mesh_ledger import Place

        kube = Kube({str(node.kubeconfig)!r}, {CONTEXT!r})
        pods = [pod_of(each) for each in kube.list(POD, {world.namespace!r})["items"]]
        target = Target(Selector(namespace={world.namespace!r}, labels={{"a": "b"}}))
        chaos = NetworkChaos(action=Delay(0.3), target=target, duration_seconds=1)
        fault = MeshFault(number=0, kind="packet_delay", chaos=chaos, revisions=("canary",))
        place = Place(kube=kube, namespace={world.namespace!r}, drill="killed", expires_at=time.time() + 300)
        injector = ChaosMesh(fault, place, lambda: pods)

        async def play():
            await injector.inject()
            await injector.await_injected()
            sys.stdout.write("injected\\n")
            sys.stdout.flush()
            await asyncio.sleep(600)

        asyncio.run(play())
        """
    )
    harness = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert harness.stdout is not None
        assert harness.stdout.readline() == "injected\n"
        harness.send_signal(signal.SIGKILL)
    finally:
        harness.kill()
        harness.wait()
        if harness.stdout is not None:
            harness.stdout.close()
    assert median_seconds(pod, 3) > before + 0.5  # the fault outlives the harness
    assert run(objects.remove(world.kube, world.namespace, drill="another", seconds=5)) == []
    assert len(world.left()) == 1
    assert run(objects.remove(world.kube, world.namespace, drill="killed", seconds=20)) == []
    assert world.left() == []
    assert median_seconds(pod) < before + 0.25


def test_abort_ends_the_faults_of_all_drills(world: World) -> None:
    pod = world.start_pod("web-1")
    before = median_seconds(pod)
    injector = world.injector(world.network())

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()
        assert await objects.abort_all(world.kube, world.namespace, seconds=20) == []

    run(play())
    assert world.left() == []
    assert median_seconds(pod) < before + 0.25


def test_who_injects_here_is_told_by_the_cluster(world: World) -> None:
    assert objects.engine(world.kube) == "stand-in"
    standin_controller.uninstall(world.kube)
    assert objects.engine(world.kube) == "chaos-mesh"
