"""What a guard does for each kind of fault: put it in place, say so, and keep it up until there is a reason to end.

Acts undo only what needs their own process; `chaos.cluster.native.undo` does the rest, for them and for all others.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from chaos.cluster.native import processes, rules, stress
from chaos.cluster.native.connections import Diagnosis
from chaos.cluster.native.freezer import freeze
from chaos.cluster.native.injection import Injection, RefusedError
from chaos.cluster.native.packets import DelayLine
from chaos.cluster.native.proxy import HttpFault, Proxy
from chaos.cluster.native.watch import STRESS_ENDED, Watch

Placed: TypeAlias = Callable[[float], None]  #: told when it is in place: monotonic seconds before which it was not
#: (injection, a process of the target, what ends it, whom to tell) -> why it ended, and what there is to tell
Act: TypeAlias = Callable[[Injection, int, Watch, Placed], tuple[str, dict[str, Any]]]
_CLONE_NEWNET: Final = 0x4000_0000
_IDLE_LOOK_SECONDS: Final = (0.01, 0.1)  #: between two looks for open connections: at first, and after a while
_QUICK_SECONDS: Final = 5.0


def _partition(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    return _by_rules(pid, rules.partition(injection.mark), watch, placed)


def _packet_loss(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    return _by_rules(pid, rules.loss(injection.mark, injection.parameters["loss_ratio"]), watch, placed)


def _by_rules(pid: int, wanted: list[list[str]], watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    began = time.monotonic()
    rules.place(pid, wanted)
    placed(began)
    return watch.wait() or "", {}


def _bandwidth(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    began = time.monotonic()
    rules.shape(pid, injection.mark, injection.parameters["rate_kbit_per_second"])
    placed(began)
    return watch.wait() or "", {}


def _packet_delay(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    _enter_network(pid)
    line = DelayLine(injection.parameters["latency_seconds"], injection.parameters["jitter_seconds"])
    try:
        began = time.monotonic()
        rules.place(pid, rules.queue(injection.mark, line.number))
        placed(began)
        return line.serve(watch), {}
    finally:
        rules.remove(os.getpid(), injection.mark)
        line.close()


def _freeze(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    began = time.monotonic()
    freeze(processes.cgroup(pid, "freezer"))
    placed(began)
    return watch.wait() or "", {}


def _stress(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    began = time.monotonic()
    stressor = stress.Stressor(injection, pid)
    placed(began)
    return watch.wait(stressor.watch()) or STRESS_ENDED, {}


def _http(injection: Injection, pid: int, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    _enter_network(pid)
    return asyncio.run(_proxied(injection, watch, placed))


async def _proxied(injection: Injection, watch: Watch, placed: Placed) -> tuple[str, dict[str, Any]]:
    told = injection.parameters
    fault = HttpFault(
        share=told["share"],
        latency_seconds=told.get("latency_seconds", 0.0),
        jitter_seconds=told.get("jitter_seconds", 0.0),
        abort_status=told["status"] if injection.kind == "http_abort" else 0,
        answer_headers=told["answer_headers"],
        exempt_paths=frozenset(told["exempt_paths"]),
    )
    proxy, me = Proxy(fault, told["port"]), os.getpid()
    to = await proxy.start()
    began = time.monotonic()
    try:
        rules.place(me, rules.redirect(injection.mark, told["port"], to))
        placed(began)
        moving = asyncio.create_task(_move_open_connections(told["port"]))
        why = await _ended(watch)
        moving.cancel()
    finally:
        rules.remove(me, injection.mark, target="REDIRECT")
        await proxy.end()
    return why, {"requests": proxy.requests, "hit": proxy.hit}


async def _ended(watch: Watch) -> str:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for descriptor in watch.files():
        loop.add_reader(descriptor, ended.set)
    try:
        while (why := watch.why()) is None:
            loop.call_later(watch.left(), ended.set)
            await ended.wait()
        return why
    finally:
        for descriptor in watch.files():
            loop.remove_reader(descriptor)


async def _move_open_connections(port: int) -> None:
    """End connections that were open before the redirection, each when it is idle; clients come back through it."""
    diagnosis, quick_until = Diagnosis(), time.monotonic() + _QUICK_SECONDS
    try:
        while True:
            for connection in diagnosis.of_port(port):
                if connection.idle and not connection.inward:
                    diagnosis.end(connection)
            await asyncio.sleep(_IDLE_LOOK_SECONDS[time.monotonic() > quick_until])
    finally:
        diagnosis.close()


def _enter_network(pid: int) -> None:
    """Move this process, which has one thread, into the network namespace of another one."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RefusedError(f"process {pid} has just ended", gone=True) from None
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise RefusedError(f"the network of process {pid} cannot be entered: {os.strerror(number)}")
    finally:
        os.close(descriptor)


ACTS: Final[Mapping[str, Act]] = {
    "partition": _partition,
    "packet_loss": _packet_loss,
    "packet_delay": _packet_delay,
    "bandwidth": _bandwidth,
    "freeze": _freeze,
    "cpu_stress": _stress,
    "memory_stress": _stress,
    "http_delay": _http,
    "http_abort": _http,
}
OF_CONTAINER: Final = ("freeze", "cpu_stress", "memory_stress")  #: act in one run of a container; others in its pod
#: two of one set in one pod would spoil each other; kinds that stand in no set can be there twice
ALONE: Final = (("packet_delay",), ("bandwidth",), ("http_delay", "http_abort"), ("freeze",))
