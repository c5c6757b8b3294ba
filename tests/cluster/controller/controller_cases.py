"""Rollouts that are put to the real Deployment controller: what `cases.yaml` says, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML

FILE: Final = Path(__file__).parent / "cases.yaml"
Template: TypeAlias = str  #: a, b, c: the pod templates in the order in which they come


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """How the pods of one template behave.

    Attributes:
        start: seconds from the start of a container until it answers.
        never: it never answers its readiness probe.
        crash_after: seconds from the start of a container until it exits with 1; 0: it stays.
    """

    start: float = 0.0
    never: bool = False
    crash_after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that is done to the Deployment: from then on it wants this template and so many replicas.

    The first act of a case comes at once, each later one `wait` seconds after `available` pods of the template `of`
    are available (`pods` of it are wanted, where they are not to become available).
    """

    template: Template
    replicas: int
    of: Template = "b"
    available: int = 0
    wanted: int = 0
    wait: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One rollout.

    Attributes:
        replicas: before the first act; all pods are of template a then.
        unready: so many of these are not ready.
        pods: of each template.
        ends: the sizes that the ReplicaSets are to end with, worked out by hand.
        fast: one of those that every run of the cluster's tests takes.
    """

    name: str
    replicas: int
    surge: int | str
    unavailable: int | str
    min_ready: int
    unready: int
    pods: dict[Template, Pods]
    acts: tuple[Act, ...]
    ends: dict[Template, int]
    fast: bool = field(default=False)

    @property
    def stuck(self) -> bool:
        """It does not come to its end: pods of the last template do not become available."""
        last = self.acts[-1]
        return self.ends[last.template] != last.replicas or sum(self.ends.values()) != last.replicas


def load() -> list[Case]:
    """All cases, in the order of the file."""
    return [_case(each) for each in YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))]


def _case(words: dict[str, Any]) -> Case:
    words = dict(words)
    replicas = words.pop("replicas")
    wanted, template = words.pop("apply", replicas), "b"
    pods = {"a": Pods(), "b": Pods(**words.pop("b", {}))}
    acts = [Act(template="b", replicas=wanted)]
    for then in words.pop("then", ()):
        when = {name: then.pop(name) for name in ("of", "available", "wanted", "wait") if name in then}
        ((kind, value),) = then.items()
        if kind == "scale":
            wanted = value
        elif kind == "c":
            template, pods["c"] = "c", Pods(**value)
        elif kind == "undo":
            template = "a"
        else:
            raise ValueError(f"{words['name']}: unknown act {kind!r}; known: undo, scale, c")
        acts.append(Act(template=template, replicas=wanted, **when))
    ends = words.pop("ends", None) or {"a": 0, template: wanted}
    case = Case(
        name=words.pop("name"),
        replicas=replicas,
        surge=words.pop("surge"),
        unavailable=words.pop("unavailable"),
        min_ready=words.pop("minReady", 0),
        unready=words.pop("unready", 0),
        pods=pods,
        acts=tuple(acts),
        ends={**dict.fromkeys(pods, 0), **ends},
        fast=words.pop("fast", False),
    )
    if words:
        raise ValueError(f"{case.name}: unknown words {', '.join(words)}")
    return case
