"""The objects of a cluster in memory, with versions, conflicts, owners, finalizers and a log of changes for watches."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from chaos.cluster import kinds
from chaos.cluster.kinds import NAMESPACE, Kind
from chaos.cluster.testing.merging import applied, merged
from chaos.cluster.testing.refusing import problems

Object = dict[str, Any]
Key = tuple[str, str, str, str]  #: group, plural, namespace, name
KINDS: Final = tuple(each for each in vars(kinds).values() if isinstance(each, Kind))
_WITH_STATUS: Final = frozenset({"Deployment", "ReplicaSet", "Pod", "HTTPRoute", "Gateway", "Namespace", "Job"})


class Refused(Exception):
    """The server says no: `code` is the HTTP status, `reason` one word, the text what is wrong."""

    def __init__(self, code: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the log; `old` is None of a new object, `new` of one that is gone."""

    version: int
    key: Key
    old: Object | None
    new: Object | None


class Store:
    """All objects; every method may be called from any thread.

    Args:
        namespaces: names, each with its labels, that there are from the start; `kube-system` always is.

    Attributes worth reading: `version` (of the last change), `oldest` (changes up to it are forgotten), `changed`
    (notified of every change).
    """

    def __init__(self, namespaces: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 1000
        self.oldest = 0
        self.log: list[Change] = []
        self._objects: dict[Key, Object] = {}
        self._said: dict[tuple[Key, str], Object] = {}  #: what a manager applied last
        for name, labels in {"kube-system": {}, **(namespaces or {})}.items():
            self.create(NAMESPACE, {"metadata": {"name": name, "labels": dict(labels)}})

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """A copy of an object."""
        with self.lock:
            return copy.deepcopy(self._objects.get(_key(kind, name, namespace)))

    def all(self, kind: Kind, namespace: str = "", match: Callable[[Object], bool] = lambda _: True) -> list[Object]:
        """Copies of all of a kind, in the order of their names."""
        with self.lock:
            found = [self._objects[key] for key in sorted(self._objects) if key[:2] == (kind.group, kind.plural)]
            chosen = [each for each in found if not namespace or each["metadata"].get("namespace") == namespace]
            return [copy.deepcopy(each) for each in chosen if match(each)]

    def names(self, namespace: str) -> list[str]:
        """`Kind/name` of everything in a namespace, for assertions."""
        with self.lock:
            return sorted(f"{each['kind']}/{key[3]}" for key, each in self._objects.items() if key[2] == namespace)

    # -- writing --------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, body: Mapping[str, Any], namespace: str = "") -> Object:
        """Make an object; refused when its name is taken or it is invalid."""
        with self.lock:
            found: Object = {"apiVersion": kind.api_version, "kind": kind.kind, **copy.deepcopy(dict(body))}
            meta = found.setdefault("metadata", {})
            if "name" not in meta and "generateName" in meta:
                meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
            if kind.namespaced:
                if meta.setdefault("namespace", namespace) != namespace:
                    raise Refused(400, "BadRequest", "the namespace of the object does not match the request")
                self._need_namespace(namespace)
            key = _key(kind, meta.get("name", ""), namespace)
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'{kind.plural} "{key[3]}" already exists')
            if kind.kind in _WITH_STATUS:
                found["status"] = {}
            if kind is NAMESPACE:
                meta["finalizers"] = ["kubernetes"]  # it is terminating until all that is in it is gone
            if kind is kinds.SERVICE:
                number = int(uuid.uuid4().hex[:6], 16)
                found["spec"].setdefault(
                    "clusterIP", f"127.{1 + number % 250}.{number // 250 % 250}.{2 + number % 200}"
                )
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
            return self._put(key, None, found)

    def replace(self, kind: Kind, name: str, body: Mapping[str, Any], namespace: str = "") -> Object:
        """PUT: the whole object, of the version that it names."""
        with self.lock:
            return self._changed(kind, name, namespace, lambda there: copy.deepcopy(dict(body)), whole=True)

    def patch(
        self, kind: Kind, name: str, body: Mapping[str, Any], namespace: str = "", part: str | None = None
    ) -> Object:
        """A merge patch, of its status or scale where one is named; conflicts when it names another version."""
        with self.lock:
            return self._changed(kind, name, namespace, lambda there: merged(there, body), part=part)

    def apply(self, kind: Kind, name: str, body: Mapping[str, Any], namespace: str = "", manager: str = "") -> Object:
        """Server-side apply, forced."""
        with self.lock:
            key = _key(kind, name, namespace)
            said = {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "status")}
            if key not in self._objects:
                found = self.create(kind, said, namespace)
            else:
                before = self._said.get((key, manager))
                found = self._changed(kind, name, namespace, lambda there: applied(there, said, before))
            self._said[key, manager] = copy.deepcopy(said)
            return found

    def delete(self, kind: Kind, name: str, namespace: str = "", options: Mapping[str, Any] | None = None) -> Object:
        """Ask for its end: finalizers, a foreground deletion and a pod's grace keep it for a while."""
        options = options or {}
        with self.lock:
            key = _key(kind, name, namespace)
            there = self._need(key)
            _preconditions(there, options.get("preconditions") or {})
            meta = there["metadata"]
            finalizers = set(meta.get("finalizers", ()))
            if options.get("propagationPolicy") == "Foreground":
                finalizers.add("foregroundDeletion")
            grace = _grace(there, options)
            if not finalizers and not grace:
                self._drop(key)
                return there
            ending = "deletionTimestamp" in meta and finalizers == set(meta.get("finalizers", ()))
            if ending and grace and grace >= meta.get("deletionGracePeriodSeconds", 0):
                return copy.deepcopy(there)
            found = copy.deepcopy(there)
            found["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": grace}
            if finalizers:
                found["metadata"]["finalizers"] = sorted(finalizers)
            return self._put(key, there, found)

    def remove(self, kind: Kind, name: str, namespace: str = "") -> None:
        """It is gone at once, whatever holds it."""
        with self.lock:
            self._drop(_key(kind, name, namespace))

    def forget(self) -> None:
        """Compaction: whoever watches from an earlier version must list again."""
        with self.lock:
            self.version += 1
            self.oldest = self.version
            self.log.clear()
            self.changed.notify_all()

    # -- the garbage collector ------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Delete what belonged to owners that are all gone, and end foreground deletions whose dependants are gone."""
        with self.lock:
            there = {each["metadata"]["uid"] for each in self._objects.values()}
            for key, found in list(self._objects.items()):
                meta = found["metadata"]
                owners = meta.get("ownerReferences", ())
                orphan = owners and not any(owner["uid"] in there for owner in owners)
                if orphan and "deletionTimestamp" not in meta:
                    self.delete(_kind(key), key[3], key[2])
                elif "foregroundDeletion" in meta.get("finalizers", ()):
                    self._foreground(key, found)

    def _foreground(self, key: Key, found: Object) -> None:
        uid, waiting = found["metadata"]["uid"], False
        for other, each in list(self._objects.items()):
            for owner in each["metadata"].get("ownerReferences", ()):
                if owner["uid"] == uid:
                    waiting = waiting or bool(owner.get("blockOwnerDeletion"))
                    if "deletionTimestamp" not in each["metadata"]:
                        self.delete(_kind(other), other[3], other[2], {"propagationPolicy": "Foreground"})
        if not waiting:
            left = [each for each in found["metadata"]["finalizers"] if each != "foregroundDeletion"]
            self.patch(_kind(key), key[3], {"metadata": {"finalizers": left or None}}, key[2])

    # -- changes --------------------------------------------------------------------------------------------------

    def _changed(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        change: Callable[[Object], Object],
        *,
        part: str | None = None,
        whole: bool = False,
    ) -> Object:
        key = _key(kind, name, namespace)
        there = self._need(key)
        meta = there["metadata"]
        found = change(there)
        asked = found["metadata"].get("resourceVersion", "" if not whole else meta["resourceVersion"])
        if asked not in ("", meta["resourceVersion"]):
            text = f'Operation cannot be fulfilled on {kind.plural} "{name}": the object has been modified'
            raise Refused(409, "Conflict", text)
        if found["metadata"].get("uid", meta["uid"]) != meta["uid"]:
            raise Refused(409, "Conflict", "Precondition failed: UID in precondition does not match")
        found["metadata"] |= {each: meta[each] for each in ("name", "uid", "creationTimestamp", "resourceVersion")}
        found |= {"apiVersion": there["apiVersion"], "kind": there["kind"]}
        if part == "status":
            found = {**there, "status": found.get("status", {})}
        elif part == "scale":
            found = {**there, "spec": {**there["spec"], "replicas": found["spec"]["replicas"]}}
        elif "status" in there:
            found["status"] = there["status"]
        if kind is kinds.DEPLOYMENT and found["spec"]["selector"] != there["spec"]["selector"]:
            raise Refused(422, "Invalid", f'Deployment "{name}" is invalid: spec.selector: field is immutable')
        generation = meta["generation"] + (found.get("spec") != there.get("spec"))
        found["metadata"] = {**found["metadata"], "generation": generation}
        if "deletionTimestamp" in meta:
            found["metadata"]["deletionTimestamp"] = meta["deletionTimestamp"]
            if not found["metadata"].get("finalizers") and not _grace(found, {}):
                self._drop(key)
                return found
        return self._put(key, there, found)

    def _put(self, key: Key, old: Object | None, new: Object) -> Object:
        if wrong := problems(new["kind"], new):
            raise Refused(422, "Invalid", f'{new["kind"]} "{key[3]}" is invalid: {"; ".join(wrong)}')
        if old is not None and _same(old, new):
            return copy.deepcopy(old)
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self._objects[key] = new
        self._log(key, old, new)
        return copy.deepcopy(new)

    def _drop(self, key: Key) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self.version += 1
            for each in [each for each in self._said if each[0] == key]:
                del self._said[each]
            self._log(key, old, None)

    def _log(self, key: Key, old: Object | None, new: Object | None) -> None:
        self.log.append(Change(self.version, key, old, copy.deepcopy(new)))
        self.changed.notify_all()

    def _need(self, key: Key) -> Object:
        if key not in self._objects:
            raise Refused(404, "NotFound", f'{key[1]} "{key[3]}" not found')
        return self._objects[key]

    def _need_namespace(self, name: str) -> None:
        there = self._need(_key(NAMESPACE, name, ""))
        if "deletionTimestamp" in there["metadata"]:
            raise Refused(403, "Forbidden", f"unable to create new content in namespace {name}: it is being terminated")


def events(changes: list[Change], kind: Kind, namespace: str, match: Callable[[Object], bool]) -> Iterator[Object]:
    """Changes as a watch tells them: an object that matches no more is deleted for it."""
    for change in changes:
        if change.key[:2] != (kind.group, kind.plural) or (namespace and change.key[2] != namespace):
            continue
        before = change.old is not None and match(change.old)
        after = change.new is not None and match(change.new)
        if after:
            yield {"type": "MODIFIED" if before else "ADDED", "object": change.new}
        elif before:
            last = copy.deepcopy(change.new if change.new is not None else change.old)
            assert last is not None
            last["metadata"]["resourceVersion"] = str(change.version)
            yield {"type": "DELETED", "object": last}


def _key(kind: Kind, name: str, namespace: str) -> Key:
    return kind.group, kind.plural, namespace if kind.namespaced else "", name


def _kind(key: Key) -> Kind:
    return next(each for each in KINDS if (each.group, each.plural) == key[:2])


def _same(old: Object, new: Object) -> bool:
    """A write that changes nothing makes no version."""
    plain = [{**each, "metadata": {**each["metadata"], "resourceVersion": ""}} for each in (old, new)]
    return plain[0] == plain[1]


def _grace(found: Object, options: Mapping[str, Any]) -> int:
    """Seconds that a pod may take to end; one that no node runs ends at once."""
    if found["kind"] != "Pod" or not found.get("spec", {}).get("nodeName"):
        return 0
    if found.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    given = options.get("gracePeriodSeconds", found["metadata"].get("deletionGracePeriodSeconds"))
    return int(found["spec"].get("terminationGracePeriodSeconds", 30) if given is None else given)


def _preconditions(there: Object, wanted: Mapping[str, Any]) -> None:
    for name in ("uid", "resourceVersion"):
        if wanted.get(name) not in (None, there["metadata"][name]):
            raise Refused(409, "Conflict", f"Precondition failed: {name} in precondition does not match")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
