"""The harness' side of the agent: one for all faults that a drill makes on a node."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from chaos.cluster.native.injection import Injection
from chaos.cluster.native.processes import boot
from chaos.injectors.native.seam import NodeSeam
from chaos.timeline import Moment
from chaos.world import WorldError

_START_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 15.0
_END_SECONDS: Final = 12.0


class GoneError(WorldError):
    """The pod or its container is not there (any more): a target less, and no failure of ours."""


class AgentLink:
    """Used from one event loop. It starts by itself, and again when it was lost: its faults are gone then.

    Attributes worth reading: `lacks`, by kind of fault why this node cannot do it.
    """

    def __init__(self, node: NodeSeam) -> None:
        self._node = node
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ended: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        self._last_words: deque[str] = deque(maxlen=5)
        self._starting: asyncio.Task[None] | None = None
        self._same_clock = False
        self.lacks: dict[str, str] = {}

    async def start(self) -> None:
        """Have an agent; WorldError when there is none to be had."""
        if self._starting is None or (self._starting.done() and self.lost):
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)  # who is cancelled here must not leave half an agent

    async def _start(self) -> None:
        await self._reap()
        argv, pipe = self._node.argv(["agent"]), asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise WorldError(f"the agent on the node cannot be started: {argv[0]}: {error.strerror}") from None
        up: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[0] = up
        self._reading = [asyncio.create_task(self._listen()), asyncio.create_task(self._overhear())]
        try:
            async with asyncio.timeout(_START_SECONDS):
                told = await up
        except TimeoutError:
            raise WorldError(f"the agent on the node says nothing within {_START_SECONDS:g} s") from None
        self.lacks = told["lacks"]
        self._same_clock = told["boot"] == boot()

    def on_end(self, group: str, call: Callable[[str, dict[str, Any]], None]) -> None:
        """Be told when an injection of a group ends: its id (empty: all of them, with the agent), and why."""
        self._ended[group] = call

    async def place(self, injection: Injection) -> Moment:
        """Put a fault into a pod; when that was.

        Raises:
            GoneError: there is no such pod.
            WorldError: the fault cannot be had.
        """
        return await self._moment("place", injection)

    async def kill(self, injection: Injection) -> Moment:
        """Kill a container; raises as `place`."""
        return await self._moment("kill", injection)

    async def undo(self, group: str) -> list[str]:
        """Take all injections of a group back, also those on their way; what could not be, in words."""
        await self._settle()
        if not self.lost:
            left: list[str] = (await self._ask({"op": "undo", "group": group}))["left"]
            return left
        return []  # its agent has ended, and so has all that it had in place

    async def borne(self, group: str) -> list[str]:
        """Names of pods that bear an injection of the group."""
        if self.lost:
            return []
        pods: list[str] = (await self._ask({"op": "borne", "group": group}))["pods"]
        return pods

    async def sweep(self, owner: str | None, group: str | None = None) -> tuple[list[str], list[str]]:
        """Take back what anybody has left on the node for an owner; see `chaos.cluster.native.sweeping`."""
        await self.start()
        told = await self._ask({"op": "sweep", "owner": owner, "group": group})
        return told["done"], told["left"]

    @property
    def lost(self) -> bool:
        """There is no agent: it was not started yet, or it has ended."""
        return self._process is None or not self._reading or self._reading[0].done()

    async def close(self) -> None:
        """Let the agent take everything back and end; WorldError when it does not."""
        await self._settle()
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._reap()
                raise WorldError(
                    "the agent on the node did not end; `rolloutlab sweep` looks for what it left"
                ) from None
            await self._reap()

    async def _settle(self) -> None:
        """Wait for the end of a start."""
        if self._starting is not None:
            await asyncio.wait({self._starting})
            if not self._starting.cancelled():
                self._starting.exception()  # looked at: whoever wanted the agent has heard of it

    # -- the pipe -------------------------------------------------------------------------------------------------

    async def _moment(self, op: str, injection: Injection) -> Moment:
        await self.start()
        asked = time.monotonic()
        told = await self._ask({"op": op, "injection": injection.plain()})
        if not self._same_clock:  # the clocks of two machines have nothing to do with each other
            return Moment(asked, time.monotonic())
        return Moment(*told["placed"])

    async def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self.lost or self._process is None or self._process.stdin is None:
            raise self._loss()
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._process.stdin.write(json.dumps({"id": number, **order}).encode() + b"\n")
            async with asyncio.timeout(_ANSWER_SECONDS):
                told = await answer
        except TimeoutError:
            raise WorldError(f"the agent on the node does not answer {order['op']!r}") from None
        finally:
            self._answers.pop(number, None)
        if "error" in told:
            raise (GoneError if told.get("gone") else WorldError)(told["error"])
        return told

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._heard(json.loads(line))
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(self._loss())
                    answer.exception()  # looked at: nobody need await it
            self._answers.clear()
            for call in self._ended.values():
                call("", {"ended": "its agent has ended"})

    def _heard(self, message: dict[str, Any]) -> None:
        if "event" not in message or message["event"] == "agent":
            answer = self._answers.get(message.get("id", 0))
            if answer is not None and not answer.done():
                answer.set_result(message)
            return
        group = message["injection"].rpartition(".")[0]
        if group in self._ended:
            self._ended[group](message["injection"], message)

    async def _overhear(self) -> None:
        """Keep the last words of its stderr, for messages."""
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._last_words.append(line.decode(errors="replace").strip())

    def _loss(self) -> WorldError:
        return WorldError(f"the agent on the node has ended: {' / '.join(self._last_words) or 'no message'}")

    async def _reap(self) -> None:
        if self._process is not None:
            await self._process.wait()
            await asyncio.gather(*self._reading, return_exceptions=True)
        self._process, self._reading = None, []
