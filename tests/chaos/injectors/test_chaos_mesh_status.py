"""What an object of Chaos Mesh says, read by its laws and not by its conditions alone."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.injectors.chaos_mesh_status import status_of

TRUE = ("Selected", "AllInjected")


def record(phase: str, counts: tuple[int, int] = (0, 0), **more: Any) -> dict[str, Any]:
    injected, recovered = counts
    found = {
        "id": "shop/web-1",
        "selectorKey": ".",
        "phase": phase,
        "injectedCount": injected,
        "recoveredCount": recovered,
    }
    return {**found, **more}


def found(*records: dict[str, Any], true: tuple[str, ...] = (), phase: str = "Run", **meta: Any) -> dict[str, Any]:
    names = ("Selected", "AllInjected", "AllRecovered", "Paused")
    conditions = [{"type": name, "status": "True" if name in true else "False"} for name in names]
    experiment = {"desiredPhase": phase, **({"containerRecords": list(records)} if records else {})}
    return {"metadata": meta, "status": {"conditions": conditions, "experiment": experiment}}


BEARS = record("Injected", (1, 0))
OTHER = record("Injected", (1, 0), id="shop/web-2")
WAITS = record("Not Injected/Wait", id="shop/web-2")
PEER = record("Not Injected", id="shop/old-1", selectorKey=".Target")


@pytest.mark.parametrize(
    ("case", "is_so", "why"),
    [
        (found(BEARS, true=TRUE), True, "all is said"),
        (found(BEARS, OTHER, true=TRUE), True, "all is said of both"),
        (found(BEARS, true=("Selected",)), False, "the condition is not there yet"),
        (found(BEARS, WAITS, true=("Selected",)), False, "one waits and is there"),
        (found(BEARS, record("Not Injected", id="shop/gone"), true=("Selected",)), True, "one waits and is gone"),
        (found(WAITS, true=("Selected",)), False, "nobody bears it"),
        (found(record("Not Injected", id="shop/gone"), true=("Selected",)), False, "the only one is gone"),
        (found(true=("AllInjected", "AllRecovered")), False, "AllInjected of nobody: nothing was selected"),
        (found(true=TRUE), False, "no records"),
        (found(BEARS, true=("AllInjected",)), False, "the condition is still that of nobody"),
        (found(BEARS, true=TRUE, phase="Stop"), False, "it is being taken back"),
        (found(BEARS, PEER, true=("Selected",)), False, "the peers have no rules yet"),
        (found(record("Injected", (1, 0), id="shop/killed"), true=TRUE), True, "a kill whose pod is gone"),
        ({"metadata": {}}, False, "nobody has touched it"),
    ],
)
def test_in_place(case: dict[str, Any], is_so: bool, why: str) -> None:
    assert status_of(case).in_place({"web-1", "web-2", "old-1"}) is is_so, why


CLEAR = record("Not Injected", (1, 1))


@pytest.mark.parametrize(
    ("case", "is_so", "why"),
    [
        (found(CLEAR, true=("Selected", "AllRecovered"), phase="Stop"), True, "it was everywhere and is nowhere"),
        (
            found(record("Not Injected"), true=("Selected", "AllRecovered"), phase="Stop"),
            False,
            "it never was anywhere",
        ),
        (found(record("Not Injected"), true=("Selected", "AllRecovered")), False, "AllRecovered before the injection"),
        (found(CLEAR, true=("Selected", "AllRecovered")), False, "it will be injected again"),
        (found(record("Injected/Wait", (1, 0)), phase="Stop"), False, "under way"),
        (found(record("Not Injected", (2, 1)), phase="Stop"), False, "injected again meanwhile"),
        (found(CLEAR, BEARS, phase="Stop"), False, "one bears it"),
        (found(phase="Stop"), False, "nobody was selected: there was nothing to undo"),
    ],
)
def test_undone(case: dict[str, Any], is_so: bool, why: str) -> None:
    assert status_of(case).undone() is is_so, why


def test_trouble_is_what_failed_last_and_has_not_been_overcome() -> None:
    failed = {"type": "Failed", "operation": "Apply", "message": "no qdisc", "timestamp": "2026-01-01T00:00:00Z"}
    fine = {"type": "Succeeded", "operation": "Apply", "timestamp": "2026-01-01T00:00:01Z"}
    assert status_of(found(record("Not Injected", events=[failed]))).troubles() == ["shop/web-1: no qdisc"]
    assert status_of(found(record("Injected", (1, 0), events=[failed, fine]))).troubles() == []
    long = status_of(found(record("Not Injected", events=[{**failed, "message": "x" * 10_000}])))
    assert len(long.troubles()[0]) < 400  # it is a stranger's text


def test_who_bears_it() -> None:
    status = status_of(
        found(
            record("Injected", (1, 0), id="shop/web-1/app"),
            WAITS,
            {**BEARS, "id": "shop/old-1", "selectorKey": ".Target"},
        )
    )
    assert status.bearers() == {"web-1"}
    held = found(BEARS, finalizers=["chaos-mesh/records"], deletionTimestamp="2026-01-01T00:00:00Z")
    assert (status_of(held).held, status_of(held).deleted) == (True, True)
