"""Settings and knobs: read whole or refused by name."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.app.settings import Identity, Knobs, SettingError, changed, from_environment, read, shown

KNOBS = sorted(shown(Knobs()))
IDENTITY = sorted(shown(Identity()))


def test_text_and_numbers_mean_the_same() -> None:
    texts = {"ERROR_RATE": "0.05", "POOL_SIZE": "7", "NOT_READY": "true", "APP_VERSION": "v2", "APP_BUCKETS": "0.1,1"}
    values = {"ERROR_RATE": 0.05, "POOL_SIZE": 7, "NOT_READY": True, "APP_VERSION": "v2", "APP_BUCKETS": [0.1, 1]}
    identity, knobs = read(texts)
    assert (identity, knobs) == read(values)
    assert (knobs.error_rate, knobs.pool_size, knobs.not_ready) == (0.05, 7, True)
    assert (identity.app_version, identity.app_buckets) == ("v2", (0.1, 1.0))


def test_what_is_shown_can_be_given_back() -> None:
    knobs = Knobs(error_rate=0.25, latency_p50=0.1, latency_p99=0.4, memory_limit_mib=64, leak_mib_per_minute=1)
    assert changed(Knobs(), shown(knobs)) == knobs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ERROR_RATE", "x"),
        ("ERROR_RATE", ""),
        ("ERROR_RATE", 1.01),
        ("ERROR_RATE", -0.0001),
        ("ERROR_RATE", math.nan),
        ("ERROR_RATE", "nan"),
        ("ERROR_RATE", "inf"),
        ("ERROR_RATE", True),
        ("ERROR_RATE", None),
        ("ERROR_RATE", [0.1]),
        ("ERROR_RATE", {}),
        ("LATENCY_P50", "1e999"),
        ("LATENCY_P50", 86_401),
        ("POOL_SIZE", 0),
        ("POOL_SIZE", 2.5),
        ("POOL_SIZE", "2.0"),
        ("POOL_SIZE", "9" * 5000),
        ("SEED", math.inf),
        ("NOT_READY", "yes"),
        ("NOT_READY", 2),
        ("APP_REVISION", "blue"),
        ("APP_REVISION", ["stable"]),
        ("APP_PATH", "/etc"),
        ("APP_HOST", "localhost"),
        ("APP_PORT", 65_536),
        ("APP_PORT", "tcp://10.0.0.1:80"),
        ("APP_POD", "a\r\nx-evil: 1"),
        ("APP_POD", "p" * 254),
        ("APP_VERSION", 2),
        ("APP_VERSION", "é"),
        ("APP_BUCKETS", "1,1"),
        ("APP_BUCKETS", "2,1"),
        ("APP_BUCKETS", "0,1"),
        ("APP_BUCKETS", ""),
        ("APP_BUCKETS", [1] * 1000),
        ("APP_BUCKETS", 1),
    ],
)
def test_a_malformed_value_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"^{name}: expected ") as caught:
        read({name: value})
    assert len(str(caught.value)) < 300, "a huge value is not repeated"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingError, match="unknown setting 'EROR_RATE'; did you mean 'ERROR_RATE'. known: ") as caught:
        changed(Knobs(), {"EROR_RATE": 1})
    assert all(name in str(caught.value) for name in KNOBS)
    assert "APP_POD" not in str(caught.value), "the identity is fixed"
    with pytest.raises(SettingError, match="unknown setting 'APP_POD'"):
        changed(Knobs(), {"APP_POD": "other"})


def test_latencies_must_be_in_order_also_after_a_change() -> None:
    with pytest.raises(SettingError, match=r"LATENCY_P99: expected at least LATENCY_P50 \(0.5\), got 0.1"):
        changed(Knobs(latency_p99=0.1), {"LATENCY_P50": 0.5})


@pytest.mark.parametrize("name", ["LEAK_MIB_PER_MINUTE", "LEAK_MIB_PER_REQUEST"])
def test_a_leak_without_an_end_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name}: a leak needs a MEMORY_LIMIT_MIB above 0"):
        read({name: 1})


def test_an_environment_may_hold_anything_else() -> None:
    identity, knobs = from_environment({"PATH": "/bin", "APP_SERVICE_HOST": "10.0.0.1", "APP_POD": "p", "DRAIN": "2"})
    assert (identity.app_pod, knobs.drain) == ("p", 2.0)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KNOBS + IDENTITY) | st.text(max_size=12), ANYTHING, max_size=4))
def test_whatever_is_given_is_read_or_refused(settings: dict[str, object]) -> None:
    try:
        identity, knobs = read(settings)
    except SettingError:
        return
    assert read({**shown(identity), **shown(knobs)}) == (identity, knobs)
