"""Whom a fault of Chaos Mesh hits: pods by label or by name, in namespaces that are named, and how many of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from chaos.faults.chaos_mesh.values import Spec, labels, number, object_name, one_of

Modes: TypeAlias = Literal["all", "one", "fixed", "fixed-percent", "random-max-percent"]
MODES: Final = ("all", "one", "fixed", "fixed-percent", "random-max-percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Pods of one namespace: those with all of these labels, or those with these names.

    Pods that are named are taken whatever their phase: whoever names them has looked. Of pods by label only running
    ones are taken, since one that has completed makes an injection hang.
    """

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    pods: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object_name("selector.namespace", self.namespace)
        if bool(self.labels) == bool(self.pods):
            raise ValueError(
                "a selector needs labels or the names of pods, and not both; without, it would be everyone"
            )
        labels("selector.labels", self.labels)
        for pod in self.pods:
            object_name("selector.pods", pod)
        if len(set(self.pods)) < len(self.pods):
            raise ValueError(f"selector.pods names a pod twice: {', '.join(self.pods)}")

    def spec(self) -> Spec:
        """As it stands under `selector`."""
        who: Spec = (
            {"labelSelectors": dict(self.labels)} if self.labels else {"pods": {self.namespace: list(self.pods)}}
        )
        return {"namespaces": [self.namespace], "podPhaseSelectors": ["Running"], **who}


@dataclass(frozen=True, slots=True)
class Mode:
    """How many of the selected pods: all, any one, a number, or whole per cent of them (`value`).

    A percentage is of pods, rounded down: half of one pod is none, and a fault of none waits for ever.
    """

    mode: Modes = "all"
    value: int | None = None

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)
        if self.mode in ("all", "one"):
            if self.value is not None:
                raise ValueError(f"mode {self.mode} takes no value, got {self.value}")
        elif self.value is None:
            raise ValueError(f"mode {self.mode} needs a value")
        else:
            number(f"value of mode {self.mode}", self.value, 1, math.inf if self.mode == "fixed" else 100)

    def spec(self) -> Spec:
        """As it stands beside `selector`.

        >>> Mode("fixed", 2).spec(), Mode().spec()
        ({'mode': 'fixed', 'value': '2'}, {'mode': 'all'})
        """
        return {"mode": self.mode} if self.value is None else {"mode": self.mode, "value": str(self.value)}


@dataclass(frozen=True, slots=True)
class Target:
    """Which pods, and how many of them."""

    selector: Selector
    mode: Mode = Mode()

    def spec(self) -> Spec:
        """As it stands in a spec, and under `target`."""
        return {"selector": self.selector.spec(), **self.mode.spec()}
