"""TEST EQUIPMENT: as much of an API server as the injector and the stand-in need, in memory, for tests without a node."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import standin_rules as rules

from chaos.cluster.kinds import HTTP_CHAOS, NETWORK_CHAOS, POD, POD_CHAOS, STRESS_CHAOS, Kind
from chaos.cluster.kube import ApiError, Object

SERVED = (POD_CHAOS, NETWORK_CHAOS, STRESS_CHAOS, HTTP_CHAOS)


class FakeKube:
    """The verbs of `chaos.cluster.kube.Kube`; `refuse` may raise for a verb and a body."""

    def __init__(self) -> None:
        self.store: dict[tuple[str, str, str], Object] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.refuse: Callable[[str, Mapping[str, Any]], None] = lambda verb, body: None
        self._version = 0
        self._lock = threading.RLock()

    # -- verbs ----------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        with self._lock:
            return copy.deepcopy(self.store.get((kind.plural, namespace or "", name)))

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        with self._lock:
            self.refuse("list", {"kind": kind.kind})
            found = [
                each
                for (plural, place, _), each in self.store.items()
                if plural == kind.plural and namespace in (None, place)
            ]
            found = [each for each in found if _matches(each, labels) and _has(each, fields)]
            return {"items": copy.deepcopy(found), "metadata": {"resourceVersion": str(self._version)}}

    def create(self, kind: Kind, body: Mapping[str, Any], namespace: str | None = None, **query: str) -> Object:
        with self._lock:
            self.asked.append(("create", kind.kind, {**copy.deepcopy(dict(body)), "query": query}))
            self.refuse("create", body)
            key = (kind.plural, namespace or "", body["metadata"]["name"])
            if key in self.store:
                raise ApiError(409, f"{kind.plural} {key[2]!r} already exists")
            meta = {
                "uid": str(uuid.uuid4()),
                "creationTimestamp": rules.stamp(time.time()),
                "namespace": namespace or "",
            }
            made = {**copy.deepcopy(dict(body)), "metadata": {**body["metadata"], **meta}}
            return made if query.get("dryRun") else self._write(key, made)

    def patch(
        self, kind: Kind, name: str, body: Mapping[str, Any], namespace: str | None = None, *, part: str | None = None
    ) -> Object:
        with self._lock:
            found = self.get(kind, name, namespace)
            if found is None:
                raise ApiError(404, f"{kind.plural} {name!r} not found")
            return self._write((kind.plural, namespace or "", name), _merged(found, body))

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        grace_seconds: int | None = None,
        wait: bool = False,
    ) -> bool:
        with self._lock:
            self.refuse("delete", {"metadata": {"name": name}})
            key = (kind.plural, namespace or "", name)
            found = self.store.get(key)
            if found is None:
                return False
            if found["metadata"].get("finalizers"):
                if "deletionTimestamp" not in found["metadata"]:
                    self._write(key, _merged(found, {"metadata": {"deletionTimestamp": rules.stamp(time.time())}}))
            else:
                del self.store[key]
            return True

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Object:
        if method == "GET":
            return {"resources": [{"name": kind.plural} for kind in SERVED]}
        assert method == "PUT"
        assert body is not None
        return self._put(path, body)

    # -- what tests do to it --------------------------------------------------------------------------------------

    def pod(self, name: str, namespace: str = "shop", *, phase: str = "Running", **labels: str) -> Object:
        """Make a pod."""
        body = {
            "metadata": {"name": name, "labels": {f"rolloutlab/{key}": value for key, value in labels.items()}},
            "spec": {"containers": [{"name": "app"}]},
            "status": {"phase": phase},
        }
        return self.create(POD, body, namespace)

    def of(self, kind: Kind) -> list[Object]:
        """All objects of a kind."""
        found: list[Object] = self.list(kind)["items"]
        return found

    def created(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of creates, refused and dry ones included."""
        return [body for verb, of, body in self.asked if verb == "create" and of == kind]

    def _put(self, path: str, body: Mapping[str, Any]) -> Object:
        with self._lock:
            plural, name = path.split("/")[-2:]
            key = (plural, path.split("/")[-3], name)
            found = self.store.get(key)
            if found is None:
                raise ApiError(404, f"{path} not found")
            if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                raise ApiError(409, f"{path} has been modified")
            if found.get("spec") != body.get("spec"):
                raise ApiError(422, "Cannot update chaos spec")
            return self._write(key, copy.deepcopy(dict(body)))

    def _write(self, key: tuple[str, str, str], found: Object) -> Object:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self.store[key] = found
        if "deletionTimestamp" in found["metadata"] and not found["metadata"].get("finalizers"):
            del self.store[key]
        return copy.deepcopy(found)


def _merged(found: Object, body: Mapping[str, Any]) -> Object:
    """RFC 7386."""
    new = copy.deepcopy(found)
    for key, value in body.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key) or {}, value) if isinstance(value, Mapping) else value
    return new


def _matches(found: Object, labels: str) -> bool:
    had = found["metadata"].get("labels", {})
    for each in filter(None, labels.split(",")):
        key, _, value = each.partition("=")
        if key not in had or ("=" in each and had[key] != value):
            return False
    return True


def _has(found: Object, fields: str) -> bool:
    for each in filter(None, fields.split(",")):
        path, _, value = each.partition("=")
        at: Any = found
        for part in path.split("."):
            at = at.get(part, {}) if isinstance(at, Mapping) else {}
        if at != value:
            return False
    return True
