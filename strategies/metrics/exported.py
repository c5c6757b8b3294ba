"""Which series a service exports, with their labels, and whether a selector finds them.

A query comes from a real cluster and holds names that only this cluster knows: a namespace, a job, a Service. Such
labels (kinds `own` and `common`) take any value that a query asks for, but for the name of the other revision's Service
where that is known. A label that says which revision a series belongs to never does: its value is that of
`Facts.labels`, or the revision's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from strategies.metrics.families import Born, Family, Label, common, families, le_text
from strategies.metrics.series import NAME, Matcher, satisfies

REVISIONS: Final = ("stable", "canary")
PORT: Final = 8080


@dataclass(frozen=True)
class Facts:
    """What the catalogue leaves to the scenario."""

    service: str = "service"
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  #: revision -> label -> value, on all series
    buckets_seconds: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    services: Mapping[str, str] = field(default_factory=dict)  #: revision -> name of the Service that is its alone
    codes_born: Born | None = None  #: when series of a response code begin; None: as the catalogue says

    @cached_property
    def series(self) -> Mapping[str, tuple[Exported, ...]]:
        """All series by name; one that each pod has stands here once for all pods of a revision."""
        found = {}
        for name, family in families().items():
            sides = [
                [
                    each
                    for bound in _bounds(name, family, self.buckets_seconds)
                    for each in _of_family(name, family, revision, bound, self)
                ]
                for revision in (0, 1)
            ]
            if sides[0][0].labels == sides[1][0].labels:  # no label of the scenario tells them apart
                sides = [[replace(each, labels={**each.labels, "revision": REVISIONS[each.revision]}) for each in side]
                         for side in sides]  # fmt: skip
            found[name] = tuple(sides[0] + sides[1])
        return found

    def pod(self, revision: int, ordinal: int) -> str:
        """The name of a pod."""
        return f"{self.service}-{self.hash_of(revision)}-{ordinal}"

    def hash_of(self, revision: int) -> str:
        """The value of `pod_template_hash`."""
        return self.named(REVISIONS[revision], "pod_template_hash")

    def named(self, revision: str, label: str) -> str:
        """The value of a label that says which revision a series belongs to."""
        return self.labels.get(revision, {}).get(label, revision)


@dataclass(frozen=True, slots=True)
class Exported:
    """One series of a revision, or of every pod of it."""

    labels: Mapping[str, str]  #: with `__name__`, without those that name the pod
    family: Family
    revision: int  #: 0 stable, 1 canary
    part: str  #: which part of the family's signal: succeeded, failed, true, false, or empty for all of it
    bound_seconds: float | None  #: of a bucket, infinite for the last one and for `_count`; None: no histogram
    own: frozenset[str]  #: labels that take any value
    shared: frozenset[str]  #: of these, labels that may be the name of one revision's Service
    services: tuple[str, str]  #: name of the Service of this revision and of the other one, empty where not known
    of_pod: tuple[str, ...]  #: labels whose values come from the pod
    born: Born

    def labels_of(self, pod: str) -> dict[str, str]:
        """The labels of one pod's series."""
        named = {name: pod if name == "pod" else f"{pod}:{PORT}" for name in self.of_pod}
        return {**self.labels, **named}

    def found_by(self, matcher: Matcher, pod: str = "") -> bool:
        """Whether one matcher lets the series of a pod (or of the revision) pass.

        A label of the user's own passes every positive matcher but the empty one and one that names the other
        revision's Service; a negative one shuts it out only when it names the value that stands here.
        """
        if matcher.label not in self.own:
            return satisfies(self.labels_of(pod) if matcher.label in self.of_pod else self.labels, [matcher])
        mine, other = (matcher.label in self.shared and mentions(matcher.value, name) for name in self.services)
        if matcher.op in ("=", "=~"):
            return matcher.value not in ("", "^$") and (mine or not other)
        return not mine and satisfies(self.labels, [matcher])


def mentions(value: str, name: str) -> bool:
    """Whether a value of a label holds the name of a Service, as `outbound|80||web.shop.svc.cluster.local` holds web.

    >>> mentions("web-canary.*", "web"), mentions("web.*", "web"), mentions("shop-web-80@kubernetes", "web")
    (False, True, False)
    """
    return bool(name) and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", value.replace("\\", "")) is not None


def selected(facts: Facts, matchers: Sequence[Matcher]) -> tuple[Exported, ...]:
    """The series that a selector finds; labels that name a pod are left to whoever knows the pods."""
    return tuple(
        each
        for name in names_matched(matchers)
        for each in facts.series[name]
        if all(each.found_by(matcher) for matcher in matchers if matcher.label not in each.of_pod)
    )


def names_matched(matchers: Sequence[Matcher]) -> list[str]:
    """Names of series that the selector's condition on `__name__` lets pass."""
    of_name = [matcher for matcher in matchers if matcher.label == NAME]
    return [name for name in families() if satisfies({NAME: name}, of_name)]


def _bounds(name: str, family: Family, scenario: tuple[float, ...]) -> tuple[float | None, ...]:
    if family.type != "histogram":
        return (None,)
    if name.endswith("_count"):
        return (math.inf,)
    return (*(family.buckets_seconds or scenario), math.inf)


def _of_family(name: str, family: Family, revision: int, bound: float | None, facts: Facts) -> list[Exported]:
    """The series of one revision and bound, one for each value of the label that splits the signal."""
    given = {label: value for names in facts.labels.values() for label, value in names.items()}
    split = next((label for label in family.labels if label.kind == "values"), None)
    parts: list[tuple[str, str, Born]] = [("", "", "start")]
    if split is not None:
        parts = [
            (value, part, facts.codes_born or split.born[value] if part in ("succeeded", "failed") else "start")
            for value, part in split.values.items()
            if family.signal != "durations" or part == "succeeded"
        ]
    found = []
    for value, part, born in parts:
        labels, own = {NAME: name}, set()
        for label in (*family.labels, *common().values()):
            if label.kind == "values":
                labels[label.name] = value
            elif label.kind == "bucket" and bound is not None and not name.endswith("_count"):
                labels["le"] = le_text(bound * 1000 if family.unit == "milliseconds" else bound)
            elif label.kind not in ("bucket", "pod", "address"):
                labels[label.name] = _value(label, family, revision, facts)
                if label.kind in ("own", "common") and label.name not in given:
                    own.add(label.name)
        labels |= facts.labels.get(REVISIONS[revision], {})
        of_pod = tuple(
            label.name for label in family.labels if label.kind in ("pod", "address") and label.name not in given
        )
        shared = frozenset(
            label.name for label in (*family.labels, *common().values()) if label.names_revision and label.name in own
        )
        services = facts.services.get(REVISIONS[revision], ""), facts.services.get(REVISIONS[1 - revision], "")
        if services[0] == services[1]:
            services = "", ""
        of_all = frozenset(own)
        found.append(Exported(labels, family, revision, part, bound, of_all, shared, services, of_pod, born))
    return found


def _value(label: Label, family: Family, revision: int, facts: Facts) -> str:
    if label.kind == "revision":
        return label.values[REVISIONS[revision]]
    name = facts.service if label.value == "$service" else label.value
    # where nothing else tells the two revisions apart, their Services have names of their own
    alone = label.names_revision and not any(each.kind == "revision" for each in family.labels)
    return f"{name}-{REVISIONS[revision]}" if alone else name
