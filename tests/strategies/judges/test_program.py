"""A judge as an analysis program: when it asks, what it makes of the answers, how it ends."""

from __future__ import annotations

import pytest

from strategies.effects import Abort, CountsQuery, Done, Effect, Inconclusive, Measure, Measured, Wait
from strategies.judges import make
from strategies.judges.program import Judging, beside, run


def play(
    judging: Judging, looks: list[list[int]], *, query_seconds: float = 0.0, begins: float = 100.0
) -> tuple[str, list[float]]:
    """The end of a program on these answers (the last one repeats), and when it asked."""
    program, now, asked = run(judging), begins, []
    answers = iter(looks)
    last: list[int] = []
    try:
        effect: Effect = next(program)
        for _ in range(1000):
            if isinstance(effect, Wait):
                now += effect.seconds
                effect = program.send(Done(now))
            else:
                assert effect == Measure(CountsQuery())
                asked.append(now)
                now += query_seconds
                last = next(answers, last)
                effect = program.send(Measured(now, None, result=list(last)))
    except StopIteration as end:
        return f"pass {end.value}", asked
    except (Abort, Inconclusive) as failure:
        return f"{type(failure).__name__} {failure}", asked
    return "running", asked


JUDGE = make("lindon_malek", share=0.1, k=10, enough=1000)


def test_a_bad_canary_aborts_with_the_counts_since_it_began() -> None:
    end, asked = play(
        Judging(judge=JUDGE, every_seconds=30), [[500, 90, 4500, 3], [600, 91, 5400, 10], [812, 106, 7300, 25]]
    )
    assert end == "Abort lindon_malek: 16 failures in 312 canary requests against 22 in 2,800: p = 5.1e-05 <= 0.01"
    assert asked == [100.0, 130.0, 160.0]


def test_a_good_canary_passes_when_enough_was_seen() -> None:
    end, asked = play(
        Judging(judge=JUDGE, every_seconds=60, initial_delay_seconds=10),
        [[0, 0, 0, 0], [600, 6, 5400, 54], [1200, 12, 10800, 108]],
    )
    assert end.startswith("pass lindon_malek: no alarm in 1,200 canary requests, 1,000 were asked for; ")
    assert asked == [110.0, 170.0, 230.0]


def test_looks_without_a_decision_are_inconclusive_and_say_what_is_missing() -> None:
    end, asked = play(
        Judging(judge=JUDGE, every_seconds=60, count=3), [[0, 0, 0, 0], [100, 1, 900, 9], [347, 3, 3123, 31]]
    )
    assert end == (
        "Inconclusive lindon_malek: no decision after 3 looks; have 347 canary requests, need 1,000; "
        "3 failures in 347 canary requests against 31 in 3,123: p = 1 > 0.01"
    )
    assert len(asked) == 4


def test_no_traffic_is_inconclusive_and_never_a_pass() -> None:
    end, _ = play(Judging(judge=JUDGE, every_seconds=60, count=5), [[0, 0, 0, 0]])
    assert end.startswith("Inconclusive lindon_malek: no decision after 5 looks; have 0 canary requests, need 1; ")


def test_the_next_wait_begins_with_the_answer() -> None:
    _, asked = play(Judging(judge=JUDGE, every_seconds=30, count=2), [[0, 0, 0, 0]], query_seconds=2)
    assert asked == [100.0, 132.0, 164.0]


def test_without_a_count_it_goes_on() -> None:
    judging = Judging(judge=JUDGE, every_seconds=30)
    assert judging.endless
    assert not Judging(judge=JUDGE, every_seconds=30, count=1).endless
    end, asked = play(judging, [[0, 0, 0, 0]])
    assert end == "running"
    assert len(asked) == 500
    assert beside(judging).name == "judge lindon_malek"
    assert judging.queries == (CountsQuery(),)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"every_seconds": 0}, "every_seconds must be above 0"),
        ({"every_seconds": 1, "count": 0}, "count must be 1 or more"),
        ({"every_seconds": 1, "initial_delay_seconds": -1}, "initial_delay_seconds must be 0 or more"),
    ],
)
def test_times_that_make_no_sense_are_refused(settings: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Judging(judge=JUDGE, **settings)  # type: ignore[arg-type]
