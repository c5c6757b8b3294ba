"""Calibration tells a right model from a wrong one, finds parameters again, and its figures are what they say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chaos.timeline import Moment, Timeline
from rolloutlab.calibrate import (
    CANNOT_SAY,
    FAILS,
    FEWEST,
    HOLDS,
    compare,
    likeliest_shift,
    measured,
    pits,
    predicted,
    uniform_p,
)
from rolloutlab.calibration import Calibrated, calibrated, pit_text, text_of
from rolloutlab.cli import main
from rolloutlab.door import run
from rolloutlab.drill import door, journal
from rolloutlab.drill.record import Record
from rolloutlab.drill.testing import made_up
from rolloutlab.inflight import as_seen, pace_of
from rolloutlab.question import Asked, read
from rolloutlab.report.drill_calibration import page
from scenarios.errors import ScenarioError

ASKED = Asked(path="errors-5pct", strategies=("canary",))


SPEED = 3.0  #: of a drill of errors-5pct on two cores


def drills(count: int, seed: int, **overrides: str) -> list[Record]:
    """Drills whose times are replications of the model under overrides: a world in which the model can be right."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    (question,) = read(Asked(path="errors-5pct", variants=False, strategies=("canary",), overrides=named))
    requests = run([question], command="test", runs=count, seed=seed).cells[0].columns
    records = [at_speed(made_up(number=number), SPEED) for number in range(count)]
    columns = as_seen(requests, question.parts[0][0], pace_of(records), seed=seed)
    for number, record in enumerate(records):
        for name in ("decision_seconds", "detection_seconds", "rollback_seconds"):
            record.row[name] = float(columns[name][number])
    return records


def at_speed(record: Record, speed: float) -> Record:
    """The same in scenario time, drilled at another speed."""
    began, stretch = record.timeline.began, record.speed / speed
    moments = {
        name: Moment(began + (one.lo - began) * stretch, began + (one.hi - began) * stretch)
        for name, one in record.timeline.moments().items()
    }
    return replace(record, timeline=Timeline(began, speed, **moments))


# --- the statistics ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.lists(st.integers(-1, 21), min_size=1, max_size=10))
def test_pit_is_the_share_below_with_ties_halved(model: list[int], values: list[int]) -> None:
    found = pits(np.sort(np.array(model, dtype=float)), np.array(values, dtype=float))
    wanted = [
        (sum(one < value for one in model) + sum(one <= value for one in model)) / 2 / len(model) for value in values
    ]
    assert found == pytest.approx(wanted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_evenness_bounds_the_exact_test_from_above(values: list[float]) -> None:
    exact = float(stats.kstest(values, "uniform", method="exact").pvalue)
    assert exact - 1e-9 <= uniform_p(np.array(values)) <= min(1.0, 2 * exact + 1e-9) + 1e-9


def normal(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    return shift + scale * np.random.default_rng(seed).standard_normal(count)


def test_a_right_model_holds_and_a_wrong_one_fails() -> None:
    """Values are the model's own quantiles, so nothing here is a matter of chance."""
    model = np.linspace(0.0, 100.0, 2001)
    right = np.linspace(2.5, 97.5, 20)
    assert compare("detection_seconds", model, right).holds == HOLDS
    assert compare("detection_seconds", model, right + 45).holds == FAILS
    narrow = compare("detection_seconds", model, np.linspace(45, 55, 20))
    assert narrow.holds == FAILS
    assert narrow.inside == 20
    assert narrow.width_ratio == pytest.approx(10, rel=0.01)
    assert "10 times as wide" in narrow.reason


@pytest.mark.parametrize(("inside", "holds"), [(20, HOLDS), (15, HOLDS), (14, FAILS), (0, FAILS)])
def test_fifteen_of_twenty_hold_and_fourteen_do_not(inside: int, holds: str) -> None:
    """P(at most 14 of 20) = 1.1 %, P(at most 15) = 4.3 % when 9 in 10 lie inside; the line is 2 %."""
    model = np.linspace(0.0, 100.0, 2001)
    values = np.r_[np.linspace(10, 90, 20)[:inside], np.full(20 - inside, 99.0)]
    found = compare("detection_seconds", model, values)
    assert (found.inside, found.holds) == (inside, holds)
    assert stats.binom.cdf(14, 20, 0.9) < 0.02 < stats.binom.cdf(15, 20, 0.9)


def test_too_little_is_no_verdict() -> None:
    model = np.linspace(0, 1, 100)
    few = np.full(FEWEST - 1, 0.5)
    assert compare("detection_seconds", model, few).holds == CANNOT_SAY
    assert compare("detection_seconds", model, np.full(9, math.nan)).holds == CANNOT_SAY
    nothing = compare("detection_seconds", np.full(9, math.nan), np.full(9, 0.5))
    assert (nothing.holds, nothing.reason) == (CANNOT_SAY, "the model predicts no value")
    assert math.isnan(nothing.p50)


def test_a_drill_without_a_value_is_counted_and_not_a_number() -> None:
    found = compare("rollback_seconds", np.linspace(0, 1, 100), np.array([0.5, math.nan, 0.4]))
    assert (found.values, found.missing) == ((0.5, 0.4), 1)


def test_coverage_of_a_right_model_is_what_it_says() -> None:
    """Over many calibrations 9 in 10 values lie inside: 4,000 values, so 5 standard errors are 2.4 points."""
    model = normal(20_000, 1)
    inside = sum(compare("detection_seconds", model, normal(20, seed)).inside for seed in range(2, 202))
    error = math.sqrt(0.9 * 0.1 / 4000 + 0.9 * 0.1 / 20_000)
    assert abs(inside / 4000 - 0.9) < 5 * error


@given(st.floats(-5, 5), st.integers(0, 1000))
def test_the_likeliest_shift_is_that_of_the_truth(truth: float, seed: int) -> None:
    """Of 30 values of a law with a sharp edge; a kernel is a sixth of its scale."""
    rng = np.random.default_rng(seed)
    model, values = rng.standard_exponential(4000), truth + rng.standard_exponential(30)
    shift, low, high = likeliest_shift(model, values)
    assert low <= shift <= high
    assert shift == pytest.approx(truth, abs=0.6)
    assert high <= values.min() + 0.6, "what lies below the edge by more than some kernels is hardly possible"


def test_a_model_of_one_value_can_be_moved_too() -> None:
    shift, _, _ = likeliest_shift(np.full(100, 3.0), np.array([5.0, 5.01, 4.99]))
    assert shift == pytest.approx(2.0, abs=0.05)


# --- with the simulator ------------------------------------------------------------------------------------------


def test_the_models_own_replications_hold() -> None:
    """20 of another seed: each judged time fails a right model with a probability of 1.1 %; three seeds may not all."""
    found = [calibrated(ASKED, drills(20, seed), runs=512, seed=0) for seed in (5, 6, 7)]
    rollback = [next(one for one in each.comparisons if one.column == "rollback_seconds") for each in found]
    assert [one.holds for one in rollback].count(FAILS) < 3, "chance of 1.4e-6"


@pytest.mark.parametrize(("truth", "model"), [("3s", "1s"), ("1s", "3s")])
def test_a_router_lag_that_is_two_seconds_off_fails_the_rollback(truth: str, model: str) -> None:
    """Too high or too low."""
    asked = replace(ASKED, overrides={"router.lag": model})
    wrong = calibrated(asked, drills(20, 6, router__lag=truth), runs=512)
    by_name = {one.column: one for one in wrong.comparisons}
    assert by_name["rollback_seconds"].holds == FAILS, by_name["rollback_seconds"].reason
    assert wrong.exit_code == 1


def test_a_fit_mends_a_router_lag_that_is_off() -> None:
    real = drills(30, 6, router__lag="3s")
    mended = calibrated(ASKED, real, runs=512, fit_to=10, parameters=["router.lag"])
    (fit,) = mended.fits
    assert fit.field == "router.lag"
    assert fit.lo <= 3.0 <= fit.hi + 0.05
    assert mended.overrides.keys() == {"router.lag"}
    rollback = next(one for one in mended.comparisons if one.column == "rollback_seconds")
    assert len(rollback.values) == 20
    assert rollback.inside >= 10, "14 of 20 or fewer have a chance of 1.1 %, 10 or fewer one of 7e-6"


def test_the_service_time_is_that_of_the_traffic() -> None:
    found = calibrated(ASKED, drills(12, 3), runs=256, fit_to=6, parameters=["service.latency"])
    assert {one.field: one.after for one in found.fits} == {"service.latency.p50": 0.041, "service.latency.p99": 0.25}


def test_startup_is_found_again() -> None:
    real = drills(60, 8, service__startup__start="40s")
    found = calibrated(ASKED, real, runs=512, fit_to=50, parameters=["service.startup.start"])
    (fit,) = found.fits
    assert fit.after > 25, "between the 20 s of the file and the 40 s of the world, for probes come every 10 s"
    assert fit.lo <= 40 <= fit.hi + 10


def test_onset_is_decision_less_detection() -> None:
    columns = {"decision_seconds": np.array([50.0, np.nan]), "detection_seconds": np.array([20.0, 1.0])}
    assert predicted(columns, "onset_seconds")[0] == 30.0
    assert measured([made_up(detection=240.0)], "onset_seconds").tolist() == [45.0]


# --- what it says ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result() -> Calibrated:
    return calibrated(ASKED, drills(20, 5), runs=256, fit_to=8, parameters=["router.lag"], again="rolloutlab calibrate")


def test_the_document_says_everything(result: Calibrated) -> None:
    told = json.loads(result.json())
    assert (told["schema"], told["command"], told["runs"]) == (1, "calibrate", 256)
    assert told["drills"] == {"fitted_to": 8, "judged_on": 12}
    assert [one["column"] for one in told["results"]] == ["detection_seconds", "rollback_seconds", "onset_seconds"]
    assert [one["judged"] for one in told["results"]] == [True, True, False]
    first = told["results"][0]
    assert len(first["measured"]["values"]) == len(first["pit"]) == 12
    assert told["exit_code"] == result.exit_code


def test_the_text_has_a_line_for_each_verdict_and_each_fit(result: Calibrated) -> None:
    said = text_of(result)
    assert "12 drills judged, 8 fitted to" in said
    assert "fitted router.lag: 1 s → " in said
    assert "not judged: onset" in said
    assert said.endswith("Again: rolloutlab calibrate")


def test_the_page_is_whole_and_has_both_plots(result: Calibrated) -> None:
    html = page(result)
    assert page(result) == html
    assert "PIT: is a drill like any replication?" in html
    assert "Predicted against measured" in html
    assert html.count("<svg") == 2
    assert not any(word in html for word in ('http-equiv="refresh"', "src=", "javascript:"))


@pytest.mark.parametrize("pit", [[], [0.0, 1.0], [math.nan]])
def test_a_histogram_of_anything_has_ten_letters(pit: list[float]) -> None:
    assert len(pit_text(pit)) == 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"parameters": ["router.lagg"], "fit_to": 2},
            "--fit: unknown parameter 'router.lagg'; did you mean 'router.lag'?",
        ),
        ({"parameters": ["router.lag"], "fit_to": 6}, "--fit-repeat: expected 1 to 5 of 6 drills, got 6"),
        ({"parameters": ["router.lag"], "fit_to": 0}, "--fit-repeat: expected 1 to 5 of 6 drills, got 0"),
    ],
)
def test_bad_wishes_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        calibrated(ASKED, [made_up()] * 6, runs=64, **change)
    assert str(caught.value).startswith(said)


def test_drills_of_something_else_are_refused() -> None:
    with pytest.raises(ScenarioError, match="drill 1: expected drills of good, canary, got 'errors-5pct, canary'"):
        calibrated(Asked(path="good", strategies=("canary",)), [made_up()] * 6, runs=64)


# --- the command -------------------------------------------------------------------------------------------------


def test_calibrate_from_journals(tmp_path: Path) -> None:
    names = []
    for number, record in enumerate(drills(8, 5)):
        journal.write(record, tmp_path / f"{number}.json")
        names += ["--from", str(tmp_path / f"{number}.json")]
    html = tmp_path / "c.html"
    words = ["calibrate", "errors-5pct", "--strategy", "canary", *names, "--runs", "256", "-o", "json"]
    done = CliRunner().invoke(main, [*words, "--html", str(html)])
    assert done.exit_code in (0, 1), done.output
    told = json.loads(done.stdout)
    assert told["drills"] == {"fitted_to": 0, "judged_on": 8}
    assert told["exit_code"] == done.exit_code
    assert html.read_text().lstrip().startswith("<!doctype html>")


@pytest.mark.parametrize(("verdict", "code"), [("refused", 3), ("inconclusive", 130)])
def test_a_series_that_ends_before_there_is_anything_to_judge_says_why(
    verdict: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([made_up(), made_up(verdict=verdict, exit_code=code, reasons=("steady state: 9 of 9 were bad",))])
    monkeypatch.setattr(door, "_run", lambda *_, **__: next(left))
    done = CliRunner().invoke(main, ["calibrate", "errors-5pct", "--strategy", "canary", "--fit", "router.lag", "-q"])
    assert done.exit_code == code
    assert done.stdout == ""
    wanted = f"2 of 30 drills, too few to calibrate by: the last one was {verdict}: steady state: 9 of 9 were bad"
    assert done.stderr == f"calibrate: {wanted}\n"


def test_calibrate_of_a_file_that_is_no_journal_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    done = CliRunner().invoke(main, ["calibrate", "errors-5pct", "--strategy", "canary", "--from", str(path)])
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}: expected a journal of `rolloutlab drill`")
