"""The agent: one process on the node that puts faults into pods for one harness, and takes them back when that is gone.

It speaks JSON lines on stdin and stdout. Each injection is looked after by a guard, which is forked from it, so that a
pod that has just started bears its fault some hundredths of a second later. Agent and guards watch each other: a guard
whose agent dies takes its fault back, and the agent takes back the fault of a guard that died. When stdin ends, which
it also does when the harness is killed, everything is taken back. What is left when all of them are killed at once
stands in the registry, for a sweep. It has one thread, because it forks.

Orders: {"id", "op": "place", "injection"} | {"op": "kill", "injection"} | {"op": "undo", "group"} | {"op": "borne",
"group"} | {"op": "sweep", "owner", "group" or null}; an answer bears the id of its order: {"id", …} or {"id", "error",
"gone"}. Events: {"event": "agent", "lacks", "boot"} at first, {"event": "ended", "injection", "ended": why, …}.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.cluster.native import processes, sweeping
from chaos.cluster.native.guard import guard
from chaos.cluster.native.injection import Injection, RefusedError
from chaos.cluster.native.lacks import lacks
from chaos.cluster.native.registry import Registry
from chaos.cluster.native.undo import undo

LONGEST: Final = 1 << 20  #: bytes of an order
UNDO_SECONDS: Final = 6.0  #: that a guard may take to undo, before it is killed and the agent does it


@dataclass(slots=True)
class _Guard:
    injection: Injection
    order: int  #: that is answered when it is in place
    pipe: int
    answered: bool = False
    refused: bool = False
    ended: dict[str, Any] = field(default_factory=dict)
    buffer: bytes = b""


class Agent:
    """Orders come from the descriptor `orders`, answers go to `answers`."""

    def __init__(self, registry: Registry, orders: int = 0, answers: int = 1) -> None:
        self._registry, self._orders, self._answers = registry, orders, answers
        self._guards: dict[int, _Guard] = {}  #: by process
        self._undoing: list[tuple[int, str, float]] = []  #: (order, group, monotonic seconds by which it must be done)
        self._buffer = b""
        self._ending = self._cleared = False
        self._selector = selectors.DefaultSelector()
        self._woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._selector.register(orders, selectors.EVENT_READ, self._read)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)

    def serve(self) -> None:
        """Serve the harness until it is gone, then take everything back."""
        self._tell({"event": "agent", "lacks": lacks(), "boot": processes.boot()})
        while not self._ending:
            self._turn()
        self._selector.unregister(self._orders)
        self._order_undo(0, None)
        while self._guards:
            self._turn()

    def _turn(self) -> None:
        first = min((deadline for _, _, deadline in self._undoing), default=None)
        wait = None if first is None else max(0.0, first - time.monotonic())
        for key, _ in self._selector.select(wait):
            if self._selector.get_map().get(key.fd) is key:  # else it was dropped a moment ago
                key.data(key.fileobj)
        self._see_what_is_undone()

    def _ask_to_end(self, *_: object) -> None:
        self._ending = True

    # -- orders ---------------------------------------------------------------------------------------------------

    def _read(self, descriptor: int) -> None:
        received = os.read(descriptor, 1 << 16)
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        if not received or len(self._buffer) > LONGEST:
            self._ending = True
        for line in lines:
            self._order(json.loads(line))

    def _order(self, order: dict[str, Any]) -> None:
        try:
            answer = self._perform(order)
        except RefusedError as error:
            answer = {"error": str(error), "gone": error.gone}
        except OSError as error:
            answer = {"error": str(error), "gone": False}
        if answer is not None:
            self._tell({"id": order["id"], **answer})

    def _perform(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """What it is answered with; None when that comes later."""
        match order["op"]:
            case "place":
                self._place(Injection.of(order["injection"]), order["id"])
                return None
            case "kill":
                return _kill(Injection.of(order["injection"]))
            case "undo":
                self._order_undo(order["id"], order["group"])
                return None
            case "borne":
                return {"pods": self._bearers(order["group"])}
            case "sweep":
                done, left = self._sweep(order["owner"], order.get("group"))
                return {"done": done, "left": left}
        raise RefusedError(f"unknown order {order['op']!r}")

    def _sweep(self, owner: str | None, group: str | None) -> tuple[list[str], list[str]]:
        if group is not None:
            return sweeping.by_registry(self._registry, owner, group)
        return sweeping.sweep(self._registry, owner)

    def _place(self, injection: Injection, order: int) -> None:
        if not self._cleared:  # what dead agents have left would be in the way
            sweeping.by_registry(self._registry, None)
            self._cleared = True
        told, tells = os.pipe2(os.O_CLOEXEC)
        agent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._child(injection, agent, tells)  # never returns
        os.close(tells)
        self._guards[pid] = _Guard(injection, order, told)
        self._selector.register(told, selectors.EVENT_READ, self._listen)

    def _child(self, injection: Injection, agent: int, tells: int) -> None:
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            self._selector.close()
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, self._orders)
            os.dup2(nothing, self._answers)
            code = guard(injection, self._registry, agent, tells)
        except SystemExit:
            code = 0
        except BaseException as error:  # noqa: BLE001 - the child of a fork must never run on in its parent's code
            os.write(2, f"{injection.kind} in {injection.pod}: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    # -- guards ---------------------------------------------------------------------------------------------------

    def _bearers(self, group: str) -> list[str]:
        """Pods that bear an injection of a group, or are just about to."""
        guards = [each for each in self._guards.values() if not each.refused]
        return [each.injection.pod for each in guards if each.injection.group == group]

    def _listen(self, pipe: int) -> None:
        guard = next(each for each in self._guards.values() if each.pipe == pipe)
        received = os.read(pipe, 1 << 16)
        *lines, guard.buffer = (guard.buffer + received).split(b"\n")
        for line in lines:
            self._heard(guard, json.loads(line))
        if not received:
            self._selector.unregister(pipe)
            os.close(pipe)
            guard.pipe = -1

    def _heard(self, guard: _Guard, message: dict[str, Any]) -> None:
        if "placed" in message:
            guard.answered = True
            self._tell({"id": guard.order, "placed": message["placed"]})
        elif "refused" in message:
            guard.refused = True
            if not guard.answered:
                guard.answered = True
                self._tell({"id": guard.order, "error": message["refused"], "gone": message["gone"]})
        else:
            guard.ended = message

    def _reap(self, woken: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 1 << 12)
        while self._guards:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            guard = self._guards.get(pid)
            if guard is not None:
                self._ended(pid, guard, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, guard: _Guard, code: int) -> None:
        """A guard has ended; where it did not undo its fault, do that."""
        while guard.pipe >= 0:
            self._listen(guard.pipe)
        del self._guards[pid]
        injection = guard.injection
        for entry in self._registry.entries(injection.owner, injection.group):
            if entry.injection.id == injection.id and not entry.guarded:
                guard.ended = {"ended": f"its guard ended with {code}", "left": undo(entry)}
                if not guard.ended["left"]:
                    self._registry.remove(injection.id)
        if not guard.answered:
            self._tell({"id": guard.order, "error": f"its guard ended with {code}", "gone": False})
        ended = guard.ended or {"ended": f"its guard ended with {code}"}
        self._tell({"event": "ended", "injection": injection.id, **ended})

    def _order_undo(self, order: int, group: str | None) -> None:
        for pid, each in self._guards.items():
            if group in (None, each.injection.group):
                os.kill(pid, signal.SIGTERM)
        self._undoing.append((order, group or "", time.monotonic() + UNDO_SECONDS))

    def _see_what_is_undone(self) -> None:
        now, waiting = time.monotonic(), []
        for order, group, deadline in self._undoing:
            late = [pid for pid, each in self._guards.items() if group in ("", each.injection.group)]
            if not late:
                self._tell({"id": order, "left": self._left(group)})
                continue
            if now >= deadline:  # it hangs: with its end its fault is ours to undo
                for pid in late:
                    os.kill(pid, signal.SIGKILL)
                deadline = now + 1.0
            waiting.append((order, group, deadline))
        self._undoing = waiting

    def _left(self, group: str) -> list[str]:
        """What is in place all the same, once its guards are gone."""
        entries = self._registry.entries(group=group) if group else []
        return [f"{each.injection.kind} in pod {each.injection.pod}" for each in entries]

    def _tell(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except OSError:
            self._ending = True


def _kill(injection: Injection) -> dict[str, Any]:
    """Kill a container: SIGKILL to its first process, with which the others end."""
    pids = processes.of_container(injection.container_id)
    if not pids:
        raise RefusedError(f"no container {injection.container_id[:12]} of pod {injection.pod} runs here", gone=True)
    began, first = time.monotonic(), processes.first(pids)
    with contextlib.suppress(ProcessLookupError):
        os.kill(first, signal.SIGKILL)
    left = processes.await_end([first], UNDO_SECONDS)
    if left:
        raise RefusedError(f"process {first} of pod {injection.pod} outlives SIGKILL: is it frozen?")
    return {"placed": [began, time.monotonic()]}
