"""The warden: one small process that starts all processes of a drill and ends them when the harness is gone.

The harness talks to it over a socket, in JSON lines. Replicas are forked from it, so that the libraries of the
application are loaded once; the router and the load generator are executed. The warden ends all of them when the socket
closes, which it also does when the harness is killed; every child leads its own process group and has asked the kernel
to be killed when the warden is. It has one thread and no event loop library, because it forks.

Orders: {"id", "op": "replica", "settings", "log"} | {"op": "exec", "argv", "env", "log"} | {"op": "signal", "pid",
"signal"} | {"op": "stop"}; answers: {"id", "pid"} or {"id", "error"}; events: {"event": "ready", "pid", "data"} and
{"event": "exit", "pid", "code"} (negative: the signal that ended it).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

from chaos.local.prctl import die_with

LONGEST: Final = 1 << 20  #: bytes of an order
_GRACE_SECONDS: Final = 2.0


class Warden:
    """The children of one run, and the loop that serves the harness."""

    def __init__(self, harness: socket.socket, folder: Path) -> None:
        self.harness, self.folder = harness, folder
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, int] = {}  #: process -> pipe on which it says that it is ready, or -1
        self._buffer = b""
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_end)
        self._ending = False
        self.selector.register(harness, selectors.EVENT_READ, self._orders)
        self.selector.register(self._woken, selectors.EVENT_READ, self._reap)

    def _ask_to_end(self, *_: object) -> None:
        self._ending = True

    def serve(self) -> None:
        """Serve the harness until it is gone, then end everything."""
        try:
            while not self._ending:
                for key, _ in self.selector.select():
                    if self.selector.get_map().get(key.fd) is key:  # else its child was reaped a moment ago
                        key.data(key.fileobj)
        finally:
            self.end_all()

    def end_all(self) -> None:
        """Kill every child and wait until the kernel has let go of it."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while self.children and time.monotonic() < deadline:
            for pid in list(self.children):
                _signal_group(pid, signal.SIGKILL)
            self._reap(None, tell=False)
            time.sleep(0.005)

    # -- orders ---------------------------------------------------------------------------------------------------

    def _orders(self, _: object) -> None:
        try:
            received = self.harness.recv(1 << 16)
        except OSError:
            received = b""
        if not received:
            self._ending = True
            return
        self._buffer += received
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._order(json.loads(line))
        if len(self._buffer) > LONGEST:
            self._ending = True

    def _order(self, order: dict[str, Any]) -> None:
        try:
            answer = self._perform(order)
        except OSError as error:
            answer = {"error": f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)}
        if "id" in order:
            self._tell({"id": order["id"], **answer})

    def _perform(self, order: dict[str, Any]) -> dict[str, Any]:
        op = order["op"]
        if op == "replica":
            return {"pid": self._fork(order, replica=True)}
        if op == "exec":
            return {"pid": self._fork(order, replica=False)}
        if op == "signal":
            if order["pid"] in self.children:
                _signal_group(order["pid"], order["signal"])
            return {}
        if op == "stop":
            self._ending = True
            return {}
        return {"error": f"unknown order {op!r}"}

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self.harness.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._ending = True

    # -- children -------------------------------------------------------------------------------------------------

    def _fork(self, order: dict[str, Any], *, replica: bool) -> int:
        log = os.open(self.folder / order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        ready, told = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._child(order, parent, log, told, replica=replica)  # never returns
        os.close(log)
        os.close(told)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # by both, so that it holds for whoever goes on first
        self.children[pid] = ready
        self.selector.register(ready, selectors.EVENT_READ, self._ready)
        return pid

    def _child(self, order: dict[str, Any], parent: int, log: int, told: int, *, replica: bool) -> None:
        """In the child: cut all ties to the warden, then become what was ordered."""
        code = 127
        try:
            os.setpgid(0, 0)
            die_with(parent)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            self.harness.close()
            self.selector.close()
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if replica:
                from chaos.app import serve

                serve(order["settings"], told)
            else:
                os.execvpe(order["argv"][0], order["argv"], {**os.environ, **order.get("env", {})})
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - the child of a fork must never run on in its parent's code
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def _ready(self, pipe: int) -> None:
        """A child says that it is ready, with what it wants to tell; once."""
        text = os.read(pipe, 1 << 16)
        pid = next(pid for pid, each in self.children.items() if each == pipe)
        self.children[pid] = -1
        self._drop(pipe)
        if text:
            self._tell({"event": "ready", "pid": pid, "data": json.loads(text)})

    def _drop(self, pipe: int) -> None:
        self.selector.unregister(pipe)
        os.close(pipe)

    def _reap(self, woken: int | None, *, tell: bool = True) -> None:
        if woken is not None:
            os.read(woken, 1 << 12)
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            pipe = self.children.pop(pid, -1)
            if pipe >= 0:
                self._drop(pipe)
            _signal_group(pid, signal.SIGKILL)  # what the child itself has started
            if tell:
                self._tell({"event": "exit", "pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def main() -> None:
    """`python -m chaos.local.warden SOCKET FOLDER [replicas]`."""
    descriptor, folder, replicas = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] == ["replicas"]
    if replicas:
        try:
            import chaos.app  # noqa: F401 - loaded once, inherited by every replica
        except ImportError as error:
            sys.exit(f"the application under test cannot be loaded: {error}")
    harness = socket.socket(fileno=descriptor)
    harness.set_inheritable(False)
    warden = Warden(harness, folder)
    warden._tell({"event": "warden", "pid": os.getpid()})
    warden.serve()


if __name__ == "__main__":
    main()
