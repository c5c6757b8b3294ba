"""The families of series that the simulated service, the test application and a cluster export: `catalogue.toml`."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

Source: TypeAlias = Literal["app", "router", "cluster"]
Born: TypeAlias = Literal["start", "first_event"]
Kind: TypeAlias = Literal["values", "revision", "pod", "address", "bucket", "fixed", "own", "common"]
DATA: Final = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a family; what its kinds mean stands at the top of the data file."""

    name: str
    kind: Kind
    values: Mapping[str, str]  #: of `values`: label value -> part of the signal; of `revision`: revision -> label value
    value: str  #: of `fixed`, `own` and `common`; `$service` is the name of the service
    born: Mapping[str, Born]  #: of `values`: when a series with this label value begins
    names_revision: bool  #: it may be a name that only one revision has


@dataclass(frozen=True, slots=True)
class Family:
    """One family of series: what it counts, in which unit, and what drives it in the simulator."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    source: Source
    signal: str
    labels: tuple[Label, ...]
    buckets_seconds: tuple[float, ...] | None  #: upper bounds without the infinite one; None: those of the scenario

    @property
    def per_pod(self) -> bool:
        """Each pod has its own series."""
        return self.source != "router"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its series."""
        return (f"{self.name}_bucket", f"{self.name}_count") if self.type == "histogram" else (self.name,)


@cache
def families() -> Mapping[str, Family]:
    """All families, by the names of their series (a histogram stands here under both of its names)."""
    tables = tomllib.loads(DATA.read_text(encoding="utf-8"))
    labels = {name: _label(name, table) for name, table in tables["label"].items()}
    found: dict[str, Family] = {}
    for table in tables["family"]:
        family = _family(table, labels)
        found |= dict.fromkeys(family.names, family)
    return found


@cache
def common() -> Mapping[str, Label]:
    """Labels that scrape configurations add to any family."""
    tables = tomllib.loads(DATA.read_text(encoding="utf-8"))["label"]
    return {name: _label(name, table) for name, table in tables.items() if table["kind"] == "common"}


@cache
def counted() -> frozenset[str]:
    """Labels in which the series of one revision differ: response codes, conditions, buckets, pods."""
    kinds = ("values", "bucket", "pod", "address")
    return frozenset(label.name for family in families().values() for label in family.labels if label.kind in kinds)


def _label(name: str, table: Mapping[str, Any]) -> Label:
    return Label(
        name=name,
        kind=table["kind"],
        values=table.get("values", {}),
        value=table.get("value", ""),
        born=table.get("born", {}),
        names_revision=table.get("names_revision", False),
    )


def _family(table: Mapping[str, Any], labels: Mapping[str, Label]) -> Family:
    chosen = []
    for entry in table["labels"]:
        name, _, other = entry.partition("=")
        label = labels[other or name]
        chosen.append(Label(name, label.kind, label.values, label.value, label.born, label.names_revision))
    bounds = table.get("buckets", "scenario")
    scale = 1000.0 if table["unit"] == "milliseconds" else 1.0
    return Family(
        name=table["name"],
        type=table["type"],
        unit=table["unit"],
        help=table["help"],
        source=table["source"],
        signal=table["signal"],
        labels=tuple(chosen),
        buckets_seconds=None if bounds == "scenario" else tuple(bound / scale for bound in bounds),
    )


def le_text(bound: float) -> str:
    """An upper bound as the label `le` holds it; Prometheus 3 writes whole numbers as floats.

    >>> [le_text(bound) for bound in (0.005, 1.0, 250.0, 1_800_000.0, math.inf)]
    ['0.005', '1.0', '250.0', '1.8e+06', '+Inf']
    """
    if bound == math.inf:
        return "+Inf"
    if bound >= 1e6:
        exponent = math.floor(math.log10(bound))
        return f"{bound / 10**exponent:g}e+{exponent:02d}"
    return repr(float(bound))
