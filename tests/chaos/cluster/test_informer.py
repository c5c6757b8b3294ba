"""The informer against a server that loses watches, forgets history, goes silent, or goes away."""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.cluster import informer as under_test
from chaos.cluster import kube as kube_module
from chaos.cluster.informer import DEADLINE_SECONDS, WATCH_SECONDS, Informer
from chaos.cluster.kinds import CONFIG_MAP
from chaos.cluster.kube import Kube
from chaos.cluster.testing import ApiServer, Store
from chaos.world import WorldError

NAMESPACE = "drills"
PATIENCE = 60.0


class Heard:
    """What an informer told, and the informer."""

    def __init__(self, kube: Kube, **more: Any) -> None:
        self.events: list[tuple[str, bool]] = []
        self.lost: list[WorldError] = []
        self.threads: set[int] = set()
        self.informer = Informer(
            kube, CONFIG_MAP, NAMESPACE, labels="drill=x", changed=self._changed, lost=self.lost.append, **more
        )

    def _changed(self, found: dict[str, Any], deleted: bool) -> None:
        self.threads.add(threading.get_ident())
        self.events.append((found["metadata"]["name"], deleted))

    def values(self) -> dict[str, str]:
        return {name: found["data"]["v"] for name, found in self.informer.objects.items()}


def put(api: ApiServer, name: str, value: str = "0", label: str = "x") -> None:
    body = {"metadata": {"name": name, "labels": {"drill": label}}, "data": {"v": value}}
    api.store.apply(CONFIG_MAP, name, body, NAMESPACE)


def there(api: ApiServer) -> dict[str, str]:
    found = api.store.all(CONFIG_MAP, NAMESPACE, lambda each: each["metadata"]["labels"]["drill"] == "x")
    return {each["metadata"]["name"]: each["data"]["v"] for each in found}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


def listening(kube: Kube, work: Callable[[Heard], Awaitable[None]], **more: Any) -> Heard:
    """Do something while an informer listens; its thread ends with it."""
    heard = Heard(kube, **more)

    async def main() -> None:
        try:
            await heard.informer.start()
            await work(heard)
        finally:
            heard.informer.stop()

    asyncio.run(main())
    assert heard.threads <= {threading.get_ident()}, "told in the loop's thread only"
    return heard


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watches of one second, and short pauses."""
    monkeypatch.setattr(under_test, "WATCH_SECONDS", 1)
    monkeypatch.setattr(under_test, "_BACKOFF_SECONDS", (0.02, 0.1))


def test_what_is_there_then_what_changes(api: ApiServer, kube: Kube) -> None:
    put(api, "a")
    put(api, "other", label="y")

    async def work(heard: Heard) -> None:
        assert heard.values() == {"a": "0"}
        put(api, "b")
        put(api, "a", "1")
        await until(lambda: heard.values() == {"a": "1", "b": "0"})
        api.store.delete(CONFIG_MAP, "a", NAMESPACE)
        put(api, "b", label="y")  # it is ours no more
        put(api, "other", label="x")
        await until(lambda: heard.values() == {"other": "0"})
        assert heard.informer.lists == 1

    heard = listening(kube, work)
    assert heard.events == [("a", False), ("b", False), ("a", False), ("a", True), ("b", True), ("other", False)]


def test_a_watch_that_ends_is_begun_again_from_where_it_was(short: None, api: ApiServer, kube: Kube) -> None:
    async def work(heard: Heard) -> None:
        for number in range(30):
            put(api, f"n{number % 3}", str(number))
            await asyncio.sleep(0.08)
        await until(lambda: heard.values() == there(api))
        assert heard.informer.lists == 1, "nothing was listed again"

    heard = listening(kube, work)
    assert len(heard.events) == 30
    assert sum(each.query.get("watch") == "true" for each in api.trouble.requests) >= 3


def test_a_watch_that_was_dropped_without_a_word_is_noticed_in_time_and_nothing_is_lost(
    short: None, api: ApiServer, kube: Kube
) -> None:
    put(api, "gone")
    put(api, "stays")

    async def work(heard: Heard) -> None:
        api.trouble.silent.set()
        await asyncio.sleep(0.1)  # the open watch has seen it
        api.store.delete(CONFIG_MAP, "gone", NAMESPACE)
        put(api, "stays", "1")
        put(api, "new")
        api.trouble.silent.clear()  # for connections that are opened from now on
        await until(lambda: heard.values() == {"stays": "1", "new": "0"})
        assert heard.informer.lists == 2

    heard = listening(kube, work)
    assert sorted(heard.events) == [("gone", False), ("gone", True), ("new", False), ("stays", False), ("stays", False)]
    assert heard.lost == []


def test_a_list_tells_nothing_of_what_has_not_changed(short: None, api: ApiServer, kube: Kube) -> None:
    put(api, "a")
    put(api, "b")

    async def work(heard: Heard) -> None:
        api.store.forget()
        await until(lambda: heard.informer.lists == 2)
        put(api, "c")
        await until(lambda: len(heard.events) >= 3)

    assert listening(kube, work).events == [("a", False), ("b", False), ("c", False)]


def test_the_deadline_is_kept_with_the_times_as_they_are() -> None:
    assert WATCH_SECONDS + kube_module.SILENCE_SECONDS < DEADLINE_SECONDS


def test_a_request_that_is_never_answered_is_tried_again_in_time(short: None, api: ApiServer, kube: Kube) -> None:
    """The connection is dead before the watch is asked for: no header comes."""

    async def work(heard: Heard) -> None:
        api.trouble.add(act="hang", watch=True, times=1)
        put(api, "a")
        watches = len(api.trouble.requests)
        await until(lambda: heard.informer.lists == 2)
        put(api, "b")
        await until(lambda: heard.values() == {"a": "0", "b": "0"})
        assert len(api.trouble.requests) - watches < 8, "it is not repeated below the informer"

    listening(kube, work)


@pytest.mark.parametrize("how", ["in the stream", "instead of it"])
def test_history_that_is_forgotten_is_listed_anew(short: None, api: ApiServer, kube: Kube, how: str) -> None:
    put(api, "gone")

    async def work(heard: Heard) -> None:
        api.store.delete(CONFIG_MAP, "gone", NAMESPACE)
        put(api, "new")
        if how == "in the stream":
            api.store.forget()
        else:
            api.trouble.add(status=410, watch=True)
        await until(lambda: heard.informer.lists >= 2 and heard.values() == {"new": "0"})

    heard = listening(kube, work)
    assert ("gone", True) in heard.events


def test_an_object_made_anew_with_its_name_while_nobody_listened_is_a_change(
    short: None, api: ApiServer, kube: Kube
) -> None:
    put(api, "a")

    async def work(heard: Heard) -> None:
        first = heard.informer.objects["a"]["metadata"]["uid"]
        api.store.delete(CONFIG_MAP, "a", NAMESPACE)
        put(api, "a")
        api.store.forget()
        await until(lambda: heard.informer.objects["a"]["metadata"]["uid"] != first)

    listening(kube, work)


def test_a_server_that_restarts_is_found_again(short: None, api: ApiServer, kube: Kube) -> None:
    async def work(heard: Heard) -> None:
        fault = api.trouble.add(act="reset", times=None)
        put(api, "a")
        await asyncio.sleep(0.6)
        fault.times = 0
        await until(lambda: heard.values() == {"a": "0"})

    heard = listening(kube, work)
    assert heard.lost == []


def test_a_server_that_is_gone_is_said_once(short: None, api: ApiServer, kube: Kube) -> None:
    async def work(heard: Heard) -> None:
        api.trouble.add(act="reset", times=None)
        api.store.forget()
        await until(lambda: bool(heard.lost))
        await asyncio.sleep(0.5)

    heard = listening(kube, work, patience_seconds=0.5)
    (error,) = heard.lost
    assert "configmaps of drills" in str(error)
    assert api.url in str(error)


def test_a_watch_that_is_never_let_in_is_lost_although_lists_succeed(short: None, api: ApiServer, kube: Kube) -> None:
    """Else it would go round in circles, and nobody would know that everything is seen late."""
    api.trouble.add(status=500, watch=True, times=None)

    async def work(heard: Heard) -> None:
        await until(lambda: bool(heard.lost))

    heard = listening(kube, work, patience_seconds=0.5)
    assert len(heard.lost) == 1
    assert heard.informer.lists < 20, "and not as fast as it can"


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_who_may_not_listen_hears_so_at_once(api: ApiServer, kube: Kube, verb: str) -> None:
    api.trouble.forbid(verb, plural="configmaps")

    async def work(heard: Heard) -> None:
        await until(lambda: bool(heard.lost))
        raise heard.lost[0]

    with pytest.raises(WorldError, match=f'configmaps of drills .*cannot {verb} resource "configmaps"'):
        listening(kube, work, patience_seconds=10_000)


def test_a_first_list_that_does_not_come_is_an_error_with_the_reason(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(act="reset", times=None)

    async def work(heard: Heard) -> None:
        raise AssertionError("it has started")

    with pytest.raises(WorldError, match="reset"):
        listening(kube, work, patience_seconds=0.5)
    assert len(api.trouble.requests) < 20, "the informer's own pauses, not six tries each"


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b'{"type": "ADDED"}\n',
        b'{"type": "ADDED", "object": {"metadata": 1}}\n',
        b'{"type": "ERROR", "object": {"code": "gone"}}\n',
        b"[]\n",
    ],
)
def test_nonsense_in_a_watch_is_not_the_end_of_the_thread(short: None, api: ApiServer, kube: Kube, line: bytes) -> None:
    api.trouble.add(status=200, body=line, watch=True, times=1)

    async def work(heard: Heard) -> None:
        put(api, "a")
        await until(lambda: heard.values() == {"a": "0"})

    listening(kube, work)


def test_a_last_line_that_was_cut_is_heard_again(short: None, api: ApiServer, kube: Kube) -> None:
    api.trouble.add(status=200, body=b'{"type": "ADD', watch=True, times=2)

    async def work(heard: Heard) -> None:
        put(api, "a")
        await until(lambda: heard.values() == {"a": "0"})

    listening(kube, work)


def test_who_stopped_is_told_nothing_more_and_the_thread_ends(short: None, api: ApiServer, kube: Kube) -> None:
    names: list[str] = []

    async def work(heard: Heard) -> None:
        heard.informer.stop()
        count = len(heard.events)
        put(api, "late")
        await asyncio.sleep(0.2)
        assert len(heard.events) == count
        names.append(heard.informer._thread.name)
        await until(lambda: not heard.informer._thread.is_alive())

    heard = listening(kube, work)
    assert names == ["informer of configmaps"]
    assert heard.lost == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5)
def test_whatever_happens_in_the_end_it_knows_what_is_there(seed: int) -> None:
    """Random changes under random trouble: the objects converge, and what was told adds up to them."""
    rng = random.Random(seed)
    api = ApiServer(Store({NAMESPACE: {}}))
    with api, tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "WATCH_SECONDS", 1)
        patch.setattr(under_test, "_BACKOFF_SECONDS", (0.01, 0.05))
        patch.setattr(kube_module, "SILENCE_SECONDS", 0.2)
        kube = Kube(str(api.kubeconfig(Path(folder) / "kc")))

        async def work(heard: Heard) -> None:
            for number in range(40):
                name = f"n{rng.randrange(5)}"
                match rng.randrange(8):
                    case 0 | 1 | 2 | 3:
                        put(api, name, str(number), label=rng.choice("xxxy"))
                    case 4 if api.store.get(CONFIG_MAP, name, NAMESPACE) is not None:
                        api.store.delete(CONFIG_MAP, name, NAMESPACE)
                    case 5:
                        api.store.forget()
                    case 6:
                        api.trouble.add(act=rng.choice(["reset", "answer"]), times=rng.randrange(1, 3))
                await asyncio.sleep(rng.choice([0, 0, 0.01]))
            api.trouble.clear()
            await until(lambda: heard.values() == there(api))
            told: dict[str, bool] = dict(heard.events)
            assert {name for name, deleted in told.items() if not deleted} == set(there(api))

        assert listening(kube, work).lost == []
