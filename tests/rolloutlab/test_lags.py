"""Lags that are made by the simulator under other parameters lead back to those; what shows none is not fitted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from chaos.lags import KINDS, lags
from chaos.load.log import DTYPE, REVISIONS, Records
from chaos.results import Happening, Lag
from rolloutlab.calibration import Calibrated, calibrated, text_of
from rolloutlab.cli import main
from rolloutlab.drill import journal
from rolloutlab.drill.record import Record, from_plain
from rolloutlab.drill.show import lag_line
from rolloutlab.drill.testing import made_up
from rolloutlab.lag_fits import SHOWN_BY, compared, fit_by_lags, value, with_value
from rolloutlab.lag_model import predicted
from rolloutlab.question import Asked, read
from rolloutlab.report.drill_calibration import page
from scenarios.errors import Place, ScenarioError
from scenarios.schema import Scenario, SlowStartFault

ASKED = Asked(path="chaos-half", variants=False, strategies=("canary",))
WAIT = 0.04
TRUTH = 977  #: seed of the worlds that are measured; the model has another
IN_TRAFFIC = ("join", "leave", "weight_on", "weight_off")


def scenario(**overrides: Any) -> Scenario:
    named = {name.replace("__", "."): text for name, text in overrides.items()}
    (question,) = read(replace(ASKED, overrides=named))
    found: Scenario = question.parts[0][0]
    return found


def drills(truth: Scenario, count: int, *kinds: str, each: int = 4, world: str = "cluster") -> list[Record]:
    """Drills in real time whose lags are the model's own under `truth`."""
    rng = np.random.default_rng(5)
    first = made_up()
    where = replace(first.where, scenario="chaos-half", world=world)
    timeline = replace(first.timeline, speed=1.0)
    drawn = {kind: rng.permutation(predicted(truth, kind, [WAIT], seed=TRUTH)) for kind in kinds}
    found = []
    for number in range(count):
        shown = []
        for kind in kinds:
            wait = WAIT if kind in IN_TRAFFIC else 0.0
            some = drawn[kind][number * each : (number + 1) * each].tolist()
            shown += [Lag(kind, f"canary-{place}", "canary", lag, wait) for place, lag in enumerate(some)]
        found.append(made_up(number=number, where=where, timeline=timeline, lags=tuple(shown)))
    return found


# --- the model of what is seen ---------------------------------------------------------------------------------------


def requests(rng: np.random.Generator, since: float, until: float) -> Records:
    """Requests of one canary as a Poisson process, `WAIT` apart on average."""
    at = since + np.cumsum(rng.exponential(WAIT, 200))
    at = at[at < until]
    found = np.zeros(len(at), DTYPE)
    found["sent_us"] = found["done_us"] = np.round(at * 1e6)
    found["pod"], found["revision"] = b"canary-0", REVISIONS.index("canary")
    return found


def test_what_requests_show_of_a_lag_is_what_the_model_says() -> None:
    """A weight on at 2 s and off at 5 s, each 0.2 s late, by traffic that knows of no model.

    Of 400 lags; the median of an exponential law has a standard error of 5 % of its mean: six of them are 12 ms.
    """
    rng = np.random.default_rng(11)
    seen: dict[str, list[float]] = {"weight_on": [], "weight_off": []}
    waits = []
    for _ in range(400):
        facts = [{"weight": 0.25, "ordered_seconds": 2.0}, {"weight": 0.0, "ordered_seconds": 5.0}]
        told = [Happening(at_seconds=2.0 + 3 * n, kind="weight_effective", who="router", facts=one)
                for n, one in enumerate(facts)]  # fmt: skip
        for lag in lags(told, requests(rng, 2.2, 5.2), began=0.0, speed=1.0):
            seen[lag.kind].append(lag.seconds)
            waits.append(lag.wait_seconds)
    assert np.mean(waits) == pytest.approx(WAIT, rel=0.05), "of twenty requests each: six standard errors"
    for kind, found in seen.items():
        assert len(found) >= 395
        model = predicted(scenario(router__lag="200ms"), kind, [WAIT], seed=0)
        assert np.median(found) == pytest.approx(np.median(model), abs=0.012), kind
        assert np.quantile(found, [0.1, 0.9]) == pytest.approx(np.quantile(model, [0.1, 0.9]), abs=0.03), kind


def test_endpoints_are_seen_as_weights_are() -> None:
    """A pod is ready at 2 s and told to end at 5 s, with a lag of 0.1 to 0.5 s each time."""
    rng = np.random.default_rng(12)
    kinds = {"pod_made": 1.0, "pod_ready": 2.0, "pod_deleted": 5.0}
    told = [Happening(at_seconds=0.0, kind="follows_pods", who="router")]
    told += [Happening(at_seconds=at, kind=kind, who="canary-0") for kind, at in kinds.items()]
    seen: dict[str, list[float]] = {"join": [], "leave": []}
    for _ in range(400):
        early, late = rng.uniform(0.1, 0.5, 2)
        for lag in lags(told, requests(rng, 2.0 + early, 5.0 + late), began=0.0, speed=1.0):
            if lag.kind in seen:
                seen[lag.kind].append(lag.seconds)
    for kind, found in seen.items():
        assert len(found) >= 395
        model = predicted(scenario(service__endpointLag="[100ms, 500ms]"), kind, [WAIT], seed=0)
        assert np.median(found) == pytest.approx(np.median(model), abs=0.03), "five standard errors, and the model's"


# --- fits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "truth", "within"),
    [
        ("router.lag", 0.05, 0.02),
        ("router.lag", 0.9, 0.02),
        ("service.startup.schedule", 0.03, 0.01),
        ("service.startup.schedule", 1.4, 0.14),
        ("service.startup.pull", 1.2, 0.2),
    ],
)  # fmt: skip
def test_a_known_lag_is_found_again(name: str, truth: float, within: float) -> None:
    """Of 24 lags; medians of a law with sigma 0.2 have a standard error of 5 %: two of them, and the kernel's width."""
    real = drills(with_value(scenario(), name, truth), 6, *SHOWN_BY[name])
    found = fit_by_lags(name, real, scenario(), seed=0)
    assert found is not None
    (fit,) = found
    assert fit.fitted
    assert fit.before == value(scenario(), name)[0]
    assert fit.after == pytest.approx(truth, abs=within)
    assert fit.lo <= fit.after <= fit.hi
    assert not fit.lo <= fit.before <= fit.hi, "the scenario's own value is not among the likely ones"


def test_the_endpoints_are_found_again() -> None:
    truth = with_value(scenario(), "service.endpointLag", 0.3, 2.1)
    found = fit_by_lags("service.endpointLag", drills(truth, 10, "join", "leave"), scenario(), seed=0)
    assert found is not None
    assert [fit.field for fit in found] == ["service.endpointLag[0]", "service.endpointLag[1]"]
    shortest, longest = found
    assert shortest.after == pytest.approx(0.3, abs=0.36), "by quartiles of 80: a standard error of 7 % of the width"
    assert longest.after == pytest.approx(2.1, abs=0.36)
    assert shortest.note == ""


def test_joins_and_leaves_that_differ_are_said_to() -> None:
    late, soon = (with_value(scenario(), "service.endpointLag", *ends) for ends in ((1.0, 2.0), (0.0, 0.2)))
    joins, leaves = drills(late, 6, "join"), drills(soon, 6, "leave")
    both = [replace(a, lags=a.lags + b.lags) for a, b in zip(joins, leaves, strict=True)]
    found = fit_by_lags("service.endpointLag", both, scenario(), seed=0)
    assert found is not None
    assert found[0].note == "joins and leaves differ, which the model does not know"


@pytest.mark.parametrize("truth", [2.4, 6.3])
def test_a_start_is_known_to_a_period_of_its_probe(truth: float) -> None:
    real = drills(with_value(scenario(), "service.startup.start", truth), 8, "start")
    found = fit_by_lags("service.startup.start", real, scenario(), seed=0)
    assert found is not None
    assert found[0].after == pytest.approx(truth, abs=0.5)


def test_a_start_is_fitted_so_that_the_whole_way_to_ready_is_met() -> None:
    """A kubelet sees a container late: `pull` is longer, `start` shorter than the truth, and `ready` is right."""
    truth = scenario(service__startup__pull="600ms", service__startup__start="3400ms")
    late = np.random.default_rng(3).uniform(0, 1, (8, 4))
    moved = []
    for one, each in zip(drills(truth, 8, "pull", "start"), late, strict=True):
        pulls, starts = one.lags[:4], one.lags[4:]
        readies = [Lag("ready", a.who, a.revision, a.seconds + b.seconds) for a, b in zip(pulls, starts, strict=True)]
        pulls = tuple(replace(lag, seconds=lag.seconds + by) for lag, by in zip(pulls, each.tolist(), strict=True))
        starts = tuple(replace(lag, seconds=lag.seconds - by) for lag, by in zip(starts, each.tolist(), strict=True))
        moved.append(replace(one, lags=(*pulls, *starts, *readies)))
    names = ("service.startup.pull", "service.startup.start")
    found = calibrated(replace(ASKED, overrides={"service.startup.schedule": "0s"}), moved * 2, runs=64, fit_to=8,
                       parameters=names)  # fmt: skip
    ready = next(one for one in found.lags if one.kind == "ready")
    assert ready.fitted is not None
    assert ready.fitted.p50 == pytest.approx(ready.measured.p50, abs=0.5), "half a period of the probe"
    assert abs(ready.says.p50 - ready.measured.p50) > 1.0
    pull, start = (one.after for one in found.fits)
    assert pull == pytest.approx(1.1, abs=0.2), "half a second late on average"
    assert start < 3.3


def test_a_start_that_any_value_below_a_period_makes_stays_as_it_is() -> None:
    """Each pod is ready at the second look, whatever between 0.4 and 0.6 s it needs."""
    real = drills(with_value(scenario(service__startup__spread="0"), "service.startup.start", 0.4), 8, "start")
    assert {lag.seconds for one in real for lag in one.lags} == {1.0}
    now = scenario(service__startup__spread="0", service__startup__start="600ms")
    found = fit_by_lags("service.startup.start", real, now, seed=0)
    assert found is not None
    (fit,) = found
    assert fit.after == fit.before == 0.6
    assert fit.hi - fit.lo > 0.8
    assert "as likely anywhere in this interval" in fit.note


def test_what_a_fault_changes_is_no_lag_of_the_service() -> None:
    slow = SlowStartFault(kind="slow_start", add="20s")  # type: ignore[call-arg]
    there = scenario().model_copy(update={"faults": (slow,)})
    assert fit_by_lags("service.startup.start", drills(scenario(), 6, "start"), there, seed=0) is None
    kinds = {one.kind for one in compared(drills(scenario(), 6, "start", "pull"), there, None, seed=0)}
    assert kinds == {"pull"}


# --- in a calibration ------------------------------------------------------------------------------------------------


def calibration(real: list[Record], *names: str) -> Calibrated:
    return calibrated(ASKED, real, runs=64, fit_to=len(real) // 2, parameters=names)


@pytest.fixture(scope="module")
def mended() -> Calibrated:
    truth = scenario(router__lag="50ms", service__endpointLag="[300ms, 2100ms]", service__startup__schedule="30ms")
    return calibration(drills(truth, 16, *KINDS), "router.lag", "service.endpointLag", "service.startup.schedule")


def test_the_fits_go_into_the_scenario(mended: Calibrated) -> None:
    assert set(mended.overrides) == {"router.lag", "service.endpointLag", "service.startup.schedule"}
    after = scenario(**{name.replace(".", "__"): text for name, text in mended.overrides.items()})
    assert after.router.lag_seconds == pytest.approx(0.05, abs=0.02)
    assert after.service.endpoint_lag_seconds == (pytest.approx(0.3, abs=0.4), pytest.approx(2.1, abs=0.4))


def test_the_table_says_before_measured_and_after(mended: Calibrated) -> None:
    by = {one.kind: one for one in mended.lags}
    assert list(by) == list(KINDS)
    on = by["weight_on"]
    assert (on.n, on.drills) == (32, 8)
    assert on.fitted is not None
    assert abs(on.says.p50 - on.measured.p50) > 0.1 > abs(on.fitted.p50 - on.measured.p50)
    assert on.inside < 3, "nothing that is 150 ms later than the model"
    assert on.inside_fitted is not None
    assert on.inside_fitted >= 20, "26 or fewer of 32 have a chance of 11 %, 20 or fewer one of 1e-5"
    assert by["start"].fitted is None, "no parameter of it was fitted"
    said = text_of(mended)
    assert "weight_on" in said
    assert "scenario says" in said
    told = json.loads(mended.json())
    assert [one["kind"] for one in told["lags"]] == list(KINDS)
    assert "weight ordered → first request" in page(mended)


def test_what_nothing_shows_is_not_fitted_and_said_to_be_so() -> None:
    found = calibration(drills(scenario(), 8, "weight_on"), "service.endpointLag", "service.startup.pull", "router.lag")
    assert [one.fitted for one in found.fits] == [False, False, False, True]
    assert set(found.overrides) == {"router.lag"}
    said = text_of(found)
    assert "not fitted service.endpointLag[0], it stays at 0.05 s: 0 lags of the kind join or leave" in said
    assert "as in a rolling update" in said


def test_without_lags_the_router_is_fitted_by_the_rollback_as_before() -> None:
    (fit,) = calibration(drills(scenario(), 8), "router.lag").fits
    assert fit.by == "the likelihood of rollback_seconds"


@pytest.mark.parametrize("name", ["service.probes.readiness", "service.probes.readiness.periodSeconds"])
def test_what_the_drill_is_given_is_no_parameter(name: str) -> None:
    with pytest.raises(ScenarioError, match="there is nothing to fit"):
        calibration(drills(scenario(), 8), name)


def test_a_wrong_name_is_told_before_the_first_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolloutlab.drill.door._run", lambda *_, **__: pytest.fail("a drill was begun"))
    done = CliRunner().invoke(main, ["calibrate", "chaos-half", "--strategy", "canary", "--fit", "router.lagg", "-q"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: --fit: unknown parameter 'router.lagg'; did you mean 'router.lag'?")


# --- the record ------------------------------------------------------------------------------------------------------


def test_lags_stand_in_the_journal(tmp_path: Path) -> None:
    (record,) = drills(scenario(), 1, "ready", "join")
    journal.write(record, tmp_path / "j.json")
    assert journal.read(tmp_path / "j.json").lags == record.lags
    assert lag_line(record).startswith("lags, scenario seconds (median of n): ready ")


def test_a_journal_of_before_has_none() -> None:
    told = made_up().plain()
    assert told.pop("lags") == []
    assert from_plain(told, Place("j.json")).lags == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seconds": "soon"}, r"j.json lags\[0\].seconds: Input should be a valid number"),
        ({"seconds": math.inf}, r"j.json lags\[0\]: expected finite seconds"),
        ({"wait_seconds": -1.0}, r"j.json lags\[0\]: expected finite seconds"),
        ({"kind": "redy"}, r"j.json lags\[0\].kind: unknown kind 'redy'; known: schedule, pull"),
    ],
)
def test_a_lag_with_something_strange_is_refused(change: dict[str, Any], said: str) -> None:
    lag = {"kind": "ready", "who": "x", "revision": "canary", "seconds": 1.0, "wait_seconds": 0.0}
    with pytest.raises(ScenarioError, match=said):
        from_plain({**made_up().plain(), "lags": [{**lag, **change}]}, Place("j.json"))


def test_lags_below_nothing_are_fitted_by_nothing() -> None:
    """The last request came before the order each time: requests are rare."""
    early = tuple(Lag("weight_off", "router", "canary", -0.01 * n, WAIT) for n in range(1, 8))
    first = drills(scenario(), 1, "weight_off")[0]
    found = fit_by_lags("router.lag", [replace(first, lags=early)], scenario(router__lag="0s"), seed=0)
    assert found is not None
    assert found[0].after < 0.05
    assert found[0].note == "too short to be told from none"
