"""Objects of one kind as they are now: a list, then every change; listed anew whenever a change may have been missed.

Each watch is asked to end after a few seconds and is then begun again from where it was, so that a connection that was
dropped without a word is noticed within `DEADLINE_SECONDS`: its end does not come.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

from chaos.cluster.kinds import Kind
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.world import WorldError

WATCH_SECONDS: Final = 7
DEADLINE_SECONDS: Final = 10.0
_BACKOFF_SECONDS: Final = (0.1, 2.0)
_REFUSED: Final = (401, 403, 404)  #: at the very start, asking again will not help


class Informer:
    """Keeps objects in step with the server, in a thread of its own.

    Args:
        changed: called in the loop's thread with every object that is new or changed, and whether it was deleted.
        lost: called in the loop's thread, once, when nothing was heard of the server for `patience_seconds`, or it
            did not let us listen in the first place.

    Attributes worth reading: `objects` (by name; read it in the loop's thread), `heard` (monotonic seconds of the last
    word of a watch, or of a list that was followed by one), `lists` (how often all was listed), and, while `changed` is
    called, `came` (monotonic seconds at which this word of the server came: the loop may hear of it later).
    """

    def __init__(
        self,
        kube: Kube,
        kind: Kind,
        namespace: str,
        *,
        labels: str = "",
        changed: Callable[[Object, bool], None] = lambda found, deleted: None,
        lost: Callable[[WorldError], None] = lambda error: None,
        patience_seconds: float = 30.0,
    ) -> None:
        self._kube, self._kind, self._namespace, self._labels = kube.hasty(), kind, namespace, labels
        self._changed, self._lost, self._patience = changed, lost, patience_seconds
        self.objects: dict[str, Object] = {}
        self.heard = time.monotonic()
        self.lists = 0
        self.came = self.heard
        self._error: WorldError | None = None  #: it was lost before anybody could be told
        self._ready = asyncio.Event()
        self._over = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=f"informer of {kind.plural}", daemon=True)

    async def start(self) -> None:
        """Begin, and wait for the first list.

        Raises:
            WorldError: it did not come.
        """
        self._loop = asyncio.get_running_loop()
        self.heard = time.monotonic()
        self._thread.start()
        try:
            await asyncio.wait_for(self._ready.wait(), self._patience + DEADLINE_SECONDS)
        except TimeoutError:
            self._error = WorldError(f"{self._kind.plural} of {self._namespace} could not be listed")
        if self._error is not None:
            self.stop()
            raise self._error

    def stop(self) -> None:
        """Hear no more; the thread ends with its watch."""
        self._over.set()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        version, pause = "", _BACKOFF_SECONDS[0]
        refused: tuple[int, ...] = _REFUSED
        while not self._over.is_set():
            try:
                if version:
                    version = self._follow(version)
                    pause, refused = _BACKOFF_SECONDS[0], ()
                else:
                    version = self._list()
            except ApiError as error:
                version = ""  # what happened meanwhile is not known: list again
                if error.status in refused or time.monotonic() - self.heard > self._patience:
                    text = f"nothing is heard of {self._kind.plural} of {self._namespace} any more: {error}"
                    self._tell(self._gone, WorldError(text))
                    return
                self._over.wait(pause)
                pause = min(2 * pause, _BACKOFF_SECONDS[1])

    def _list(self) -> str:
        found = self._kube.list(self._kind, self._namespace, labels=self._labels)
        try:
            version = str(found["metadata"]["resourceVersion"])
            named = {str(item["metadata"]["name"]): item for item in found["items"]}
        except (KeyError, TypeError):
            raise self._kube.stranger(f"a list of {self._kind.plural}") from None
        self.lists += 1
        self._tell(self._all, named, time.monotonic())
        return version

    def _follow(self, version: str) -> str:
        for event in self._kube.watch(
            self._kind, self._namespace, since=version, labels=self._labels, seconds=WATCH_SECONDS
        ):
            self.heard = time.monotonic()
            if self._over.is_set():
                break
            found = event["object"]
            try:
                version, name = str(found["metadata"]["resourceVersion"]), found["metadata"].get("name")
            except (KeyError, TypeError, AttributeError):
                raise self._kube.stranger(f"the watch of {self._kind.plural}") from None
            if event["type"] != "BOOKMARK" and name:
                self._tell(self._one, found, event["type"] == "DELETED", self.heard)
        self.heard = time.monotonic()
        return version

    def _tell(self, function: Callable[..., None], *what: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, *what)

    # -- in the loop ----------------------------------------------------------------------------------------------

    def _gone(self, error: WorldError) -> None:
        if self._ready.is_set():
            if not self._over.is_set():
                self._lost(error)
        else:
            self._error = error
            self._ready.set()

    def _all(self, there: dict[str, Object], came: float) -> None:
        for name in self.objects.keys() - there.keys():
            self._one(self.objects[name], True, came)
        for item in there.values():
            self._one(item, False, came)
        self._ready.set()

    def _one(self, found: Object, deleted: bool, came: float) -> None:
        self.came = came
        name = found["metadata"]["name"]
        known = self.objects.get(name)
        if deleted:
            self.objects.pop(name, None)
        elif known is not None and known["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]:
            return
        else:
            self.objects[name] = found
        if not self._over.is_set():
            self._changed(found, deleted)
