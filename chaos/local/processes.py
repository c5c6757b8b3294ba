"""The harness' side of the warden: start, signal and watch the processes of a run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chaos.local.runs import RUN, Run
from chaos.world import WorldError

_SPARE_BYTES: Final = 1 << 16  #: less is no space for a message


@dataclass(slots=True, eq=False)
class Process:
    """One process of a run."""

    pid: int
    name: str
    ready: asyncio.Future[Any]  #: what it told when it was ready; an error when it ended before
    exited: asyncio.Future[int]  #: its exit code; negative: the signal that ended it
    on_exit: Callable[[Process], None] | None = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        """Has nobody heard of its end yet?"""
        return not self.exited.done()


class Processes:
    """All processes of a run, through its warden; used from one event loop."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.processes: dict[int, Process] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._warden: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._early: dict[int, list[dict[str, Any]]] = {}  #: events of processes whose number is not known yet
        self._up: asyncio.Future[None]
        self.on_lost: Callable[[WorldError], None] | None = None  #: told when the warden itself is gone

    async def start(self, *, replicas: bool = True) -> None:
        """Start the warden; without `replicas` it does not load the application under test."""
        ours, theirs = socket.socketpair()
        self._up = asyncio.get_running_loop().create_future()
        log = (self.run.path / "warden.log").open("ab")
        with theirs, log:
            self._warden = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "chaos.local.warden",
                str(theirs.fileno()),
                str(self.run.path),
                *(["replicas"] if replicas else []),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, RUN: self.run.id},
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._listening = asyncio.create_task(self._listen())
        await self._up

    async def replica(self, name: str, settings: Mapping[str, Any], log: str) -> Process:
        """Fork a replica of the application under test; `ready` tells its addresses."""
        return await self._started(name, {"op": "replica", "settings": dict(settings), "log": log})

    async def execute(self, name: str, argv: Sequence[str], log: str, env: Mapping[str, str] | None = None) -> Process:
        """Execute a program."""
        order = {"op": "exec", "argv": [str(word) for word in argv], "env": dict(env or {}), "log": log}
        return await self._started(name, order)

    async def signal(self, process: Process, number: int) -> None:
        """Send a signal to the whole group of a process; one that has ended is left alone."""
        if process.alive:
            await self._ask({"op": "signal", "pid": process.pid, "signal": int(number)})

    async def stop(self) -> None:
        """End all processes and the warden; may be called twice."""
        warden, self._warden = self._warden, None
        if warden is None:
            return
        self.on_lost = None
        self._writer.close()  # the warden ends everything when nobody is there any more
        if self._listening is not None:
            await self._listening
        await warden.wait()

    def log_tail(self, name: str, lines: int = 3) -> str:
        """The last lines of a log, for messages; on a full disk there are none, and that is why."""
        return tail(self.run.path / name, lines) or full(self.run.path)

    # -- the socket -----------------------------------------------------------------------------------------------

    async def _started(self, name: str, order: dict[str, Any]) -> Process:
        answer = await self._ask(order)
        if "error" in answer:
            raise WorldError(f"{name} cannot be started: {answer['error']}")
        loop = asyncio.get_running_loop()
        process = Process(answer["pid"], name, loop.create_future(), loop.create_future())
        self.processes[process.pid] = process
        for event in self._early.pop(process.pid, []):
            self._event(event)
        return process

    async def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._warden is None or self._writer.is_closing():
            raise WorldError("the processes of this run were ended")
        self._count += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._count] = answer
        self._writer.write(json.dumps({"id": self._count, **order}).encode() + b"\n")
        return await answer

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                if "id" in message:
                    _settle(self._answers.pop(message["id"]), message)
                elif message["event"] == "warden":
                    _settle(self._up, None)
                else:
                    self._event(message)
        except ConnectionError:
            pass
        finally:
            self._writer.close()
            self._lost()

    def _event(self, message: dict[str, Any]) -> None:
        process = self.processes.get(message["pid"])
        if process is None:  # it was faster than the answer that names it
            self._early.setdefault(message["pid"], []).append(message)
        elif message["event"] == "ready":
            _settle(process.ready, message["data"])
        else:
            self._exited(process, message["code"])

    def _exited(self, process: Process, code: int) -> None:
        _settle(process.exited, code)
        self.processes.pop(process.pid, None)
        if not process.ready.done():
            process.ready.set_exception(WorldError(f"{process.name} ended with {code} before it was ready"))
            process.ready.exception()  # looked at: nobody need await it
        if process.on_exit is not None:
            process.on_exit(process)

    def _lost(self) -> None:
        """The warden is gone, and so is everything that it had started."""
        error = WorldError(f"the warden of run {self.run.id} is gone: {self.log_tail('warden.log') or 'no message'}")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()
        self._answers.clear()
        if not self._up.done():
            self._up.set_exception(error)
        if self.on_lost is not None:
            self.on_lost(error)  # before its processes are told to have ended: that follows from it
        for process in list(self.processes.values()):
            self._exited(process, -9)


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    """Give a result to whoever waits; one who was cancelled waits no longer."""
    if not future.done():
        future.set_result(value)


def full(path: Path) -> str:
    """That the disk of a folder is full, in words; empty when it is not."""
    try:
        there = os.statvfs(path)
    except OSError:
        return ""
    return f"no space is left on the disk of {path}" if there.f_bavail * there.f_frsize < _SPARE_BYTES else ""


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file, empty when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 4096))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
