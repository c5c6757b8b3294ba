"""The door to the API: what is tried again and what is not, when it gives up, and that no secret is in a message."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import urllib3

from chaos.cluster import wire
from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, POD, POD_CHAOS
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.testing import ApiServer

NAMESPACE = "drills"
TRIES = 1 + wire._TRIES


def note(name: str = "note", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


# --- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "method"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}}, "GET"),
        ({"status": 429, "headers": {"Retry-After": "0"}}, "POST"),
        ({"status": 503}, "GET"),
        ({"status": 503}, "POST"),
        ({"status": 500}, "PATCH"),
        ({"status": 504}, "DELETE"),
        ({"act": "reset"}, "GET"),
        ({"act": "reset"}, "POST"),
        ({"act": "reset"}, "PATCH"),
        ({"act": "cut"}, "GET"),
        ({"status": 409}, "PATCH"),
    ],
)
def test_what_may_succeed_the_next_time_is_tried_again(
    api: ApiServer, kube: Kube, trouble: dict[str, Any], method: str
) -> None:
    kube.create(CONFIG_MAP, note("there"), NAMESPACE)
    before = api.trouble.count(method)
    api.trouble.add(times=3, method=method, **trouble)
    match method:
        case "GET":
            assert kube.get(CONFIG_MAP, "there", NAMESPACE) is not None
        case "POST":
            kube.create(CONFIG_MAP, note("new"), NAMESPACE)
            assert api.store.get(CONFIG_MAP, "new", NAMESPACE) is not None
        case "PATCH":
            assert kube.patch(CONFIG_MAP, "there", {"data": {"a": "b"}}, NAMESPACE)["data"] == {"a": "b"}
        case "DELETE":
            assert kube.delete(CONFIG_MAP, "there", NAMESPACE)
    assert api.trouble.count(method) - before == 4


@pytest.mark.parametrize(
    ("method", "status"), [("POST", 409), ("PUT", 409), ("POST", 422), ("PATCH", 403), ("GET", 400)]
)
def test_what_will_not_change_is_asked_once(api: ApiServer, kube: Kube, method: str, status: int) -> None:
    api.trouble.add(times=None, method=method, status=status)
    with pytest.raises(ApiError) as caught:
        kube.request(method, CONFIG_MAP.path(NAMESPACE, "x"), {} if method != "GET" else None)
    assert caught.value.status == status
    assert api.trouble.count(method) == 1


@pytest.mark.parametrize(
    ("trouble", "status"), [({"status": 503}, 503), ({"status": 429}, 429), ({"act": "reset"}, 0), ({"act": "cut"}, 0)]
)
def test_it_gives_up_after_so_many_tries_and_says_why(
    api: ApiServer, kube: Kube, trouble: dict[str, Any], status: int
) -> None:
    api.trouble.add(times=None, **trouble)
    with pytest.raises(ApiError) as caught:
        kube.get(CONFIG_MAP, "x", NAMESPACE)
    assert caught.value.status == status
    assert api.trouble.count("GET") == TRIES
    said = str(caught.value)
    assert "\n" not in said
    assert ("trouble on purpose" in said) if status else (api.url in said and "reset" in said.lower()), said


def test_pauses_grow(api: ApiServer, kubeconfig: Path) -> None:
    api.trouble.add(times=4, status=503)
    Kube(str(kubeconfig)).get(CONFIG_MAP, "x", NAMESPACE)
    times = [each.at for each in api.trouble.requests]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps[-1] > 2 * gaps[1] > 0, gaps


def test_a_server_that_asks_to_wait_for_an_hour_is_asked_sooner(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, kube: Kube
) -> None:
    monkeypatch.setattr(wire, "_LONGEST_WAIT_SECONDS", 0.2)
    api.trouble.add(times=1, status=429, headers={"Retry-After": "3600"})
    assert kube.get(CONFIG_MAP, "x", NAMESPACE) is None  # within the limit of the test
    first, second = (each.at for each in api.trouble.requests)
    assert second - first >= 0.2, "and it is waited for"


def test_a_create_that_was_done_although_its_answer_was_lost_answers_409(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(act="reset after", method="POST")
    with pytest.raises(ApiError) as caught:
        kube.create(CONFIG_MAP, note(), NAMESPACE)
    assert caught.value.status == 409
    assert api.store.names(NAMESPACE) == ["ConfigMap/note"]


def test_an_apply_whose_answer_was_lost_is_done_once(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(act="reset after", method="PATCH")
    found = kube.apply(CONFIG_MAP, note(a="1"), NAMESPACE)
    assert found["data"] == {"a": "1"}
    assert api.trouble.count("PATCH") == 2
    assert found["metadata"]["resourceVersion"] == str(api.store.version), "the second one changed nothing"


def test_a_hasty_one_tries_once(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(times=None, status=503)
    for ask in (kube.hasty().request, kube.text):
        with pytest.raises(ApiError) as caught:
            ask("GET", CONFIG_MAP.path(NAMESPACE, "x"))
        assert caught.value.status == 503
    assert api.trouble.count("GET") == 2


def test_a_hasty_one_does_not_wait_long_for_silence(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(times=None, act="hang")
    with pytest.raises(ApiError, match="timed out"):
        kube.hasty(0.2).get(CONFIG_MAP, "x", NAMESPACE)
    assert api.trouble.count("GET") == 1


# --- verbs -----------------------------------------------------------------------------------------------------------


def test_verbs(api: ApiServer, kube: Kube) -> None:
    assert kube.get(CONFIG_MAP, "note", NAMESPACE) is None
    made = kube.apply(CONFIG_MAP, note(a="1", b="2"), NAMESPACE)
    assert kube.apply(CONFIG_MAP, note(a="1", b="2"), NAMESPACE) == made
    assert kube.apply(CONFIG_MAP, note(a="3"), NAMESPACE)["data"] == {"a": "3"}, "what is not said any more is gone"
    kube.patch(CONFIG_MAP, "note", {"metadata": {"labels": {"x": "y"}}, "data": {"a": None, "c": "4"}}, NAMESPACE)
    (only,) = kube.list(CONFIG_MAP, NAMESPACE, labels="x=y")["items"]
    assert only["data"] == {"c": "4"}
    assert kube.list(CONFIG_MAP, NAMESPACE, labels="x=z")["items"] == []
    assert kube.list(CONFIG_MAP, NAMESPACE, fields="metadata.name=note")["items"] == [only]
    with pytest.raises(ApiError) as caught:
        kube.delete(CONFIG_MAP, "note", NAMESPACE, version=made["metadata"]["resourceVersion"])
    assert caught.value.status == 409
    assert kube.delete(CONFIG_MAP, "note", NAMESPACE, version=only["metadata"]["resourceVersion"])
    assert not kube.delete(CONFIG_MAP, "note", NAMESPACE)
    assert kube.version() == "v1.35.4"
    assert len(kube.identity()) == 36


def test_kinds_that_a_cluster_does_not_know(api: ApiServer, kube: Kube) -> None:
    api.trouble.missing.add("chaos-mesh.org")
    assert kube.serves(DEPLOYMENT)
    assert kube.serves(POD)
    assert not kube.serves(POD_CHAOS)
    assert kube.get(HTTP_ROUTE, "x", NAMESPACE) is None


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_named(tmp_path: Path, api: ApiServer, quickly: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        kube = quickly(Kube(str(api.kubeconfig(tmp_path / "kc", server=url))))
        with pytest.raises(ApiError) as caught:
            kube.version()
    assert caught.value.status == 0
    assert str(caught.value) == f"the API server {url} is not reached: Connection refused"


@pytest.mark.parametrize(
    "body",
    [b"", b"x" * 100_000, b"\xff\xfe\x00", b"[1]", b'{"message": {"a": 1}}', b'"text"', b"<html>\n<b>no</b>\n\n",
     b'{"message": "' + b"y" * 5_000 + b'"}', b'{"message": "' + b"y" * 100_000 + b'"}', b"[" * 100_000],
)  # fmt: skip
def test_whatever_a_server_says_the_message_is_one_short_line(api: ApiServer, kube: Kube, body: bytes) -> None:
    api.trouble.add(times=None, status=418, body=body)
    for ask in (kube.request, kube.text):
        with pytest.raises(ApiError) as caught:
            ask("GET", "/version")
        assert caught.value.status == 418
        assert len(str(caught.value)) < 600
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"{", b'{"kind": "Status"}', b"[" * 100_000, b""])
def test_another_server_is_not_taken_for_a_cluster(api: ApiServer, kube: Kube, body: bytes) -> None:
    api.trouble.add(times=None, status=200, body=body)
    for ask in (kube.version, lambda: kube.list(POD, NAMESPACE)):
        with pytest.raises(ApiError, match=f"{api.url} does not answer .* as a Kubernetes API server does; is it one?"):
            ask()


def test_no_redirect_is_followed(api: ApiServer, kube: Kube) -> None:
    for status in (302, 307):
        api.trouble.add(times=1, status=status, headers={"Location": "/api/v1/namespaces/drills/pods"}, body=b"")
        with pytest.raises(ApiError, match="points elsewhere"):
            kube.text("POST", "/api/v1/namespaces/drills/pods/x:8081/proxy/admin/knobs", {"a": 1})
        api.trouble.add(times=1, status=status, headers={"Location": "/api/v1/namespaces/drills/pods"}, body=b"")
        with pytest.raises(ApiError, match="points elsewhere"):
            kube.get(POD, "x", NAMESPACE)
    assert len(api.trouble.requests) == 4


def test_answers_of_pods_are_bounded(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(times=None, status=200, body=b"x" * (wire.LONGEST + 1))
    with pytest.raises(ApiError, match="longer than"):
        kube.text("GET", "/api/v1/namespaces/drills/pods/x/log")


def test_a_null_list_is_an_empty_one(api: ApiServer, kube: Kube) -> None:
    api.trouble.add(status=200, body=b'{"metadata": {"resourceVersion": "1"}, "items": null}')
    assert kube.list(POD, NAMESPACE)["items"] == []


def test_no_message_holds_the_token(api: ApiServer, kubeconfig: Path, tmp_path: Path, quickly: Any) -> None:
    token = api.token
    said: list[str] = []

    def fails(kube: Kube) -> None:
        with pytest.raises(ApiError) as caught:
            quickly(kube).create(CONFIG_MAP, note(), NAMESPACE)
        said.extend((str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(kube.__dict__)))

    for trouble in ({"act": "reset"}, {"act": "cut"}, {"status": 503}, {"status": 302, "body": b""}):
        api.trouble.add(times=None, **trouble)
        fails(Kube(str(kubeconfig)))
        api.trouble.clear()
    api.token = "another"
    fails(Kube(str(kubeconfig)))
    assert "Unauthorized: the credentials of context fake are not accepted" in said[-4]
    broken = json.loads(kubeconfig.read_text())
    for wrong in (f"{token}\nX-Other: {token}", f"{token}\r\nX-Other: y", f"{token}–"):
        broken["users"][0]["user"]["token"] = wrong
        path = tmp_path / "broken"
        path.write_text(json.dumps(broken))
        fails(Kube(str(path)))
        assert "credentials of this account cannot be sent" in said[-4]
    assert api.trouble.requests, "it was sent at all"
    for text in said:
        assert token not in text


def test_a_token_that_ends_with_a_newline_is_the_token(api: ApiServer, kubeconfig: Path, tmp_path: Path) -> None:
    found = json.loads(kubeconfig.read_text())
    found["users"][0]["user"]["token"] += "\n"
    (tmp_path / "other").write_text(json.dumps(found))
    assert Kube(str(tmp_path / "other")).version() == "v1.35.4"


def test_the_clock_of_the_server_is_what_all_agree_on(api: ApiServer, kube: Kube) -> None:
    kube.version()
    assert kube.skew_seconds == 0.0
    for ahead in (3600.0, -500.0):
        api.trouble.skew_seconds = ahead
        kube.hasty().version()
        assert abs(kube.skew_seconds - ahead) < 5
        assert abs(kube.now() - api.trouble.now()) < 5
    api.trouble.skew_seconds = 0.0
    kube.version()
    assert kube.skew_seconds == 0.0


def test_many_threads_may_ask(api: ApiServer, kube: Kube) -> None:
    threads = [threading.Thread(target=kube.create, args=(CONFIG_MAP, note(f"n{i}"), NAMESPACE)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.store.names(NAMESPACE)) == 24


@pytest.mark.parametrize(("code", "clock"), [(9, True), (10, True), (19, False)])
def test_a_certificate_that_is_out_of_its_time_may_be_the_fault_of_the_clock(code: int, clock: bool) -> None:
    inner = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")
    inner.verify_code, inner.verify_message = code, "certificate is odd"
    said = wire._plain(urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(inner)))  # type: ignore[arg-type]
    assert said.startswith("its certificate is not accepted, certificate is odd")
    assert ("clock" in said) is clock
    assert "_ssl.c" not in said
