"""Laws of traffic: exact at their knots, near the true integral between them, and their inverse."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import scenario

from sim.model import compile_model
from sim.traffic import DAY, Arrivals, Law, law

Rate = Callable[[float], float]


def daily_rate(mean: float, amplitude: float, peak_at: float) -> tuple[Rate, Rate]:
    """The rate, and its integral from 0."""
    omega = 2 * math.pi / DAY
    start = math.sin(-omega * peak_at)
    return (
        lambda t: mean * (1 + amplitude * math.cos(omega * (t - peak_at))),
        lambda t: mean * (t + amplitude / omega * (math.sin(omega * (t - peak_at)) - start)),
    )


def flash_rate(base: float, peak: float, at: float, rise: float, decay: float) -> tuple[Rate, Rate]:
    """The rate, and its integral from 0."""
    extra = peak - base

    def integral(t: float) -> float:
        before = rise * (math.exp((min(t, at) - at) / rise) - math.exp(-at / rise))
        after = decay * (1 - math.exp((at - t) / decay)) if t > at else 0.0
        return base * t + extra * (before + after)

    return lambda t: base + extra * math.exp((t - at) / rise if t < at else (at - t) / decay), integral


def law_of(horizon: float, **traffic: object) -> Law:
    return law(scenario(traffic=traffic).traffic, horizon)


daily = st.fixed_dictionaries(
    {
        "mean": st.floats(0.01, 1e4),
        "amplitude": st.integers(0, 100).map(lambda n: n / 100),
        "peakAt": st.integers(0, 86400),
    }
)
flash = st.fixed_dictionaries(
    {
        "base": st.floats(0, 1000),
        "peak": st.floats(1, 1e5),
        "at": st.floats(0, 5000),
        "rise": st.floats(1, 1000),
        "decay": st.floats(1, 3000),
    }
)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


def near_the_integral(of: Law, law: tuple[Rate, Rate], times: list[float], least: float) -> None:
    """At knots to rounding; between them to 1e-4 of a minute's requests at the rate of the moment, or the least."""
    rate, integral = law
    for t in times:
        knot = float(of.knots_seconds[np.searchsorted(of.knots_seconds, t, side="right") - 1])
        exact = integral(knot)
        assert float(of.at(np.array(knot))) == pytest.approx(exact, rel=1e-8, abs=1e-6)
        half = (t - knot) / 2  # the corner of a flash crowd is a knot, so the rate is smooth from the knot to t
        rest = half * sum(w * rate(knot + half * (1 + x)) for x, w in zip(NODES, WEIGHTS, strict=True))
        minute = 60 * max(rate(t), rate(knot), least)
        assert abs(float(of.at(np.array(t))) - exact - rest) <= 1e-4 * minute + 1e-9 * exact, (t, knot)


@settings(max_examples=40)
@given(words=daily, times=st.lists(st.floats(0, DAY + 3600), min_size=3, max_size=3))
def test_daily(words: dict[str, float], times: list[float]) -> None:
    of = law_of(3600, kind="daily", **{**words, "mean": f"{words['mean']:.6f}/s"})
    mean = float(f"{words['mean']:.6f}")
    near_the_integral(of, daily_rate(mean, words["amplitude"], words["peakAt"]), times, least=mean / 10)
    assert of.knots_seconds[-1] >= of.starts_seconds[-1] + 3600


@settings(max_examples=60)
@given(words=flash, data=st.data())
def test_flash_crowd(words: dict[str, float], data: st.DataObject) -> None:
    numbers = {name: float(f"{value:.6f}") for name, value in words.items()}
    numbers["peak"] += numbers["base"]
    of = law_of(
        7200,
        kind="flash_crowd",
        **{**numbers, "base": f"{numbers['base']:.6f}/s", "peak": f"{numbers['peak']:.6f}/s"},
    )
    around = [numbers["at"] - numbers["rise"] / 2, numbers["at"], numbers["at"] + numbers["decay"] / 2]
    times = [t for t in around if 0 <= t <= 7200] + data.draw(st.lists(st.floats(0, 7200), max_size=2))
    near_the_integral(of, flash_rate(**numbers), times, least=numbers["peak"] / 1000)
    assert of.peak_per_second <= numbers["peak"] * (1 + 1e-9)
    if numbers["at"] <= 7200:
        assert of.peak_per_second >= numbers["base"] + (numbers["peak"] - numbers["base"]) * 0.98


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv"
    counts = [60, 0, 120, 30, 0, 0, 600]
    path.write_text("timestamp,requests\n" + "".join(f"{60 * i},{n}\n" for i, n in enumerate(counts)))
    return str(path)


def test_a_trace_goes_round(trace: str) -> None:
    """7 minutes, 810 requests a round; started at its last row it goes on with the first one."""
    of = law_of(1500, kind="trace", file=trace)
    assert float(of.at(np.array(420.0))) == 810
    for t in (30.0, 90.0, 200.0, 400.0):
        for rounds in (1, 2, 3):
            assert float(of.at(np.array(t + 420 * rounds))) == pytest.approx(810 * rounds + float(of.at(np.array(t))))
    assert of.knots_seconds[-1] >= of.starts_seconds[-1] + 1500
    model = compile_model(scenario(horizon=1500, traffic={"kind": "trace", "file": trace}), ())
    last = Arrivals(model.law, 360.0, model.knots, model.cumulative)
    assert last.at_us(60_000_000) == pytest.approx(600)
    assert last.at_us(90_000_000) == pytest.approx(630)
    assert last.at_us(150_000_000) == pytest.approx(660)


def test_a_trace_scaled_to_a_mean(trace: str) -> None:
    of = law_of(420, kind="trace", file=trace, scaleToMean="10/s")
    assert float(of.at(np.array(420.0))) == pytest.approx(4200)


def test_a_start_inside_a_trace_is_kept(trace: str) -> None:
    of = law_of(60, kind="trace", file=trace, startAt=420 + 90)
    assert of.starts_seconds.tolist() == [90.0]


LAWS: dict[str, dict[str, object]] = {
    "constant": {"rate": "7/s"},
    "daily": {"kind": "daily", "mean": "3/s", "amplitude": 0.9},
    "flash": {"kind": "flash_crowd", "base": "2/s", "peak": "500/s", "at": 900, "rise": 30, "decay": 200},
}


@pytest.mark.parametrize("name", LAWS)
@settings(max_examples=60)
@given(time_us=st.integers(0, 3_600_000_000), share=st.floats(0, 1))
def test_the_inverse_comes_back(name: str, time_us: int, share: float) -> None:
    """From a time to its requests and back is the same microsecond; and no earlier time has as many requests."""
    model = compile_model(scenario(traffic=LAWS[name]), ())
    starts = model.law.starts_seconds
    arrivals = Arrivals(model.law, float(starts[int(share * (starts.size - 1))]), model.knots, model.cumulative)
    seen = arrivals.at_us(time_us)
    assert arrivals.at_us(0) == pytest.approx(0, abs=1e-9)
    assert abs(arrivals.inverse_us(seen) - time_us) <= 1
    due = arrivals.inverse_us(seen * share)
    assert due <= time_us + 1
    assert arrivals.at_us(due) == pytest.approx(seen * share, abs=1e-5 * max(1, seen))


def test_the_inverse_skips_silence(trace: str) -> None:
    """The request after a silent minute comes when the next minute begins, not inside the silence."""
    model = compile_model(scenario(horizon=420, traffic={"kind": "trace", "file": trace, "startAt": 0}), ())
    arrivals = Arrivals(model.law, 0.0, model.knots, model.cumulative)
    assert arrivals.inverse_us(60.5) == pytest.approx(120e6 + 0.25e6, abs=1)
    assert arrivals.inverse_us(59.5) == pytest.approx(59.5e6, abs=1)


def test_vectors_and_scalars_are_the_same_law() -> None:
    """The plane asks `Law.at` for many, a lane asks `Arrivals.at_us` for one."""
    for words in LAWS.values():
        model = compile_model(scenario(traffic=words), ())
        offset = float(model.law.starts_seconds[-1])
        arrivals = Arrivals(model.law, offset, model.knots, model.cumulative)
        times = np.linspace(0, 3600, 97)
        at = model.law.at(offset + times) - model.law.at(np.array(offset))
        assert [arrivals.at_us(int(t * 1e6)) for t in times] == pytest.approx(at.tolist(), rel=1e-9, abs=1e-6)


def test_the_recorded_trace_of_the_library() -> None:
    """Two days of a load balancer: the requests of the file, and starts from which a horizon fits."""
    path = Path(__file__).parents[2] / "scenarios" / "traces" / "elb-requests-5min.csv"
    counts = [float(line.split(",")[1]) for line in path.read_text().splitlines()[1:] if line]
    of = law_of(3600, kind="trace", file=str(path))
    length = float(of.knots_seconds[len(counts)])
    assert float(of.at(np.array(length))) == pytest.approx(sum(counts))
    assert (of.starts_seconds + 3600 <= length).all()
