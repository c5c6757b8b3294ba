"""What a rollout costs: the arithmetic of extra pods, of people and of the error budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import scenario

from sim.rows import CODES, Rows, columns

US = 1_000_000


def raw(count: int = 1, **what: object) -> Rows:
    """What a finished run hands over, of a quiet hour of 10 pods unless said otherwise."""
    rows: dict[str, object] = {
        "release_bad": False, "severity": np.nan, "outcome": CODES["promoted"], "decision": 600 * US, "fault": -1,
        "ended": 600 * US, "first": np.nan, "last": np.nan, "failed": 0, "slow": 0, "least": 10, "peak": 11,
        "pod_us": 10 * 3600.0 * US, "requests": 360_000.0, "users": np.nan,
        **what,
    }  # fmt: skip
    return {name: np.array([value] * count) for name, value in rows.items()}


HOUR = scenario(prices={"podHour": 0.05})


@pytest.mark.parametrize(
    ("name", "pod_minutes", "usd"),
    [
        ("rolling: one pod more for 10 minutes", 10, 0.0083333),
        ("blue-green: ten pods more for 30 minutes", 300, 0.25),
        ("canary: one pod more for 60 minutes", 60, 0.05),
        ("canary of 35 minutes whose pods follow the weight", 135, 0.1125),
    ],
)
def test_extra_pods(name: str, pod_minutes: float, usd: float) -> None:
    found = columns(HOUR, raw(pod_us=(10 * 3600.0 + pod_minutes * 60) * US))
    assert found["extra_infrastructure_usd"][0] == pytest.approx(usd, rel=1e-5)
    assert found["infrastructure_usd"][0] == pytest.approx(0.5 + usd, rel=1e-6)


@pytest.mark.parametrize(("hours", "usd"), [(24, 12.25), (48, 24.25)])
def test_a_blue_fleet_kept_for_a_day_or_two(hours: float, usd: float) -> None:
    """Half an hour of both colours while switching, and ten pods kept for `hours`."""
    of = scenario(horizon=f"{hours + 1}h")
    seconds = 10 * 3600.0 * (hours + 1) + 10 * 3600 * (hours + 0.5)
    assert columns(of, raw(pod_us=seconds * US))["extra_infrastructure_usd"][0] == pytest.approx(usd)


def test_a_month_of_ten_pods() -> None:
    found = columns(scenario(horizon="720h"), raw(pod_us=10 * 720 * 3600.0 * US))
    assert found["infrastructure_usd"][0] == pytest.approx(360)
    assert found["extra_infrastructure_usd"][0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("outcome", "bad", "hours"),
    [
        ("promoted", False, 0),
        ("promoted", True, 4),
        ("rolled_back", True, 1),
        ("rolled_back", False, 1),
        ("paused", False, 2),
        ("stalled", True, 2),
        ("", False, 0),
    ],
)
def test_people(outcome: str, bad: bool, hours: float) -> None:
    """Hours of a rollback, of a rollout that stands, and of a bad release that was promoted."""
    of = scenario(faults=[{"kind": "error_ratio", "ratio": 0.1}])
    found = columns(of, raw(outcome=CODES[outcome], release_bad=bad))
    assert found["engineering_usd"][0] == hours * 100


def test_a_promotion_is_not_to_blame_for_a_fault_of_the_stable_revision() -> None:
    of = scenario(faults=[{"kind": "error_ratio", "ratio": 0.1, "on": "stable"}])
    assert columns(of, raw(release_bad=True))["engineering_usd"][0] == 0


@given(failed=st.integers(0, 10**6), slow=st.integers(0, 10**6), rate=st.floats(0.1, 1e5))
def test_outage_and_error_budget(failed: int, slow: int, rate: float) -> None:
    """n bad requests at a mean rate are as many as n / rate seconds of a full outage."""
    of = scenario(prices={"failedRequest": 0.01, "slowRequest": 0.002, "podHour": 0.05, "engineerHour": 80})
    found = columns(of, raw(failed=failed, slow=slow, requests=rate * 3600, outcome=CODES["rolled_back"]))
    assert found["bad_requests"][0] == failed + slow
    assert found["outage_usd"][0] == pytest.approx(failed * 0.01 + slow * 0.002)
    assert found["error_budget_seconds"][0] == pytest.approx((failed + slow) / rate)
    assert found["total_usd"][0] == pytest.approx(0.5 + failed * 0.01 + slow * 0.002 + 80)


def test_spans_of_a_decision_at_a_first_bad_response_and_a_last_one() -> None:
    """Bad from 100 s, first seen at 130 s, undone at 250 s, last seen at 252.5 s."""
    of = scenario(faults=[{"kind": "error_ratio", "ratio": 0.1}])
    times = {"fault": 100 * US, "first": 130.0 * US, "decision": 250 * US, "last": 252.5 * US}
    found = columns(of, raw(release_bad=True, outcome=CODES["rolled_back"], **times))
    spans = [found[f"{name}_seconds"][0] for name in ("decision", "detection", "rollback", "exposure")]
    assert spans == pytest.approx([150, 120, 2.5, 122.5])
    promoted = columns(of, raw(release_bad=True, **times))
    assert np.isnan(promoted["detection_seconds"][0])  # a promotion detects nothing
    assert np.isnan(promoted["rollback_seconds"][0])


def test_no_traffic_burns_no_budget() -> None:
    """0 bad requests of none: no number, and no warning of numpy either."""
    found = columns(HOUR, raw(requests=0.0))
    assert found["error_budget_seconds"][0] == 0 or np.isnan(found["error_budget_seconds"][0])
