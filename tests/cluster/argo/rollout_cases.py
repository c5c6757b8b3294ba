"""Rollouts that are put to the real controller of Argo Rollouts: what `rollout_cases.yaml` says, typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from controller_cases import Pods
from ruamel.yaml import YAML

FILE: Final = Path(__file__).parent / "rollout_cases.yaml"
API: Final = "argoproj.io/v1alpha1"
Step = dict[str, Any]


class Act(NamedTuple):
    """Something that is done to the Rollout `wait` seconds after step number `step` began."""

    kind: Literal["abort", "undo"]
    step: int
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One rollout, from template a to template b.

    Attributes:
        routed: further fields of `canary` beside a router; None: weights are kept by the number of pods.
        pods: of each template.
        early: a step really ends before its weight is reached, which the prediction waits for.
        ends: the sizes that the ReplicaSets are to end with, worked out by hand.
    """

    name: str
    replicas: int
    surge: int | str
    unavailable: int | str
    min_ready: int
    steps: tuple[Step, ...]
    routed: dict[str, Any] | None
    pods: dict[str, Pods]
    act: Act | None
    ends: dict[str, int]
    early: bool = False
    unready: int = 0  #: as cases of the Deployment controller have it; here none is

    def manifest(self, name: str, template: dict[str, Any]) -> dict[str, Any]:
        """The Rollout, as it is put to the controller and to the importer alike."""
        canary: dict[str, Any] = {"steps": list(self.steps)} if self.steps else {}
        if self.routed is None:
            canary |= {"maxSurge": self.surge, "maxUnavailable": self.unavailable}
        else:
            services = {"canaryService": f"{name}-canary", "stableService": f"{name}-stable"}
            canary |= {**self.routed, **services, "trafficRouting": {"nginx": {"stableIngress": name}}}
        return {
            "apiVersion": API,
            "kind": "Rollout",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "replicas": self.replicas,
                "minReadySeconds": self.min_ready,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {"canary": canary},
                "template": template,
            },
        }


def load() -> list[Case]:
    """All cases, in the order of the file."""
    return [_case(each) for each in YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))]


def _case(words: dict[str, Any]) -> Case:
    words = dict(words)
    acts = [Act(kind, **words.pop(kind)) for kind in ("abort", "undo") if kind in words]
    replicas = words.pop("replicas")
    done = {"a": replicas, "b": 0} if acts else {"a": 0, "b": replicas}
    case = Case(
        name=words.pop("name"),
        replicas=replicas,
        surge=words.pop("surge", "25%"),
        unavailable=words.pop("unavailable", "25%"),
        min_ready=words.pop("minReady", 0),
        steps=tuple(words.pop("steps")),
        routed=words.pop("routed", None),
        pods={"a": Pods(), "b": Pods(**words.pop("b", {}))},
        act=acts[0] if acts else None,
        ends=words.pop("ends", done),
        early=words.pop("early", False),
    )
    if words:
        raise ValueError(f"{case.name}: unknown words {', '.join(words)}")
    return case
