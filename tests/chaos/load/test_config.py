"""The configuration of the load generator: read whole or refused by field; no target but our own."""

from __future__ import annotations

import ipaddress
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.load.config import ConfigError, Load, Users, parse, read

LEAST: dict[str, Any] = {"host": "127.0.0.1", "port": 80, "log": "t.bin", "duration_seconds": 1, "rate_per_second": 5}


def refused(**changes: Any) -> str:
    given = {name: value for name, value in {**LEAST, **changes}.items() if value != "none"}
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps(given))
    return str(caught.value)


def test_what_is_written_is_read_again() -> None:
    users = Users(count=9, zipf=1.1, cookie="rev", values={"a": 0.25, "b": 0.75}, keep_cookies=True)
    steps = ((0.0, 5.0), (2.0, 9.5))
    load = Load(
        host="10.96.0.7", port=1, log="x", duration_seconds=3.0, steps=steps, users=users, allow=("10.96.0.0/12",)
    )
    assert parse(load.to_json()) == load
    trace = Load(
        host="::1", port=1, log="x", duration_seconds=3.0, arrivals_seconds=(0.5, 0.5, 2.0), headers={"a": "b c"}
    )
    assert parse(trace.to_json()) == trace


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"port": 0}, "port: expected a whole number from 1 to 65535, got 0"),
        ({"port": True}, "port: expected a whole number"),
        ({"port": "none"}, "port: expected a value, got none"),
        ({"prot": 1}, "unknown field 'prot'; did you mean 'port'? known: host, port"),
        ({"path": "checkout"}, "path: expected a path"),
        ({"path": "/a b"}, "path: expected a path"),
        ({"path": "/a\r\nX: y"}, "path: expected a path"),
        ({"duration_seconds": 0}, "duration_seconds: expected a number from 0.001 to 86400, got 0"),
        ({"duration_seconds": math.nan}, "duration_seconds: expected a number"),
        ({"duration_seconds": math.inf}, "duration_seconds: expected a number"),
        ({"rate_per_second": 5001}, "rate_per_second: expected a number from 0 to 5000, got 5001"),
        ({"rate_per_second": "5/s"}, "rate_per_second: expected a number"),
        (
            {"rate_per_second": "none"},
            "expected exactly one of rate_per_second, steps, arrivals_seconds, clients, got none",
        ),
        (
            {"clients": 5},
            "expected exactly one of rate_per_second, steps, arrivals_seconds, clients, got rate_per_second, c",
        ),
        ({"rate_per_second": "none", "clients": 2001}, "clients: expected a whole number from 1 to 2000, got 2001"),
        ({"rate_per_second": "none", "steps": []}, "steps: expected 1 to 1000000 pairs"),
        (
            {"rate_per_second": "none", "steps": [[1, 5]]},
            "steps[0][0]: expected ascending seconds that begin at 0, got 1",
        ),
        ({"rate_per_second": "none", "steps": [[0, 5], [0, 6]]}, "steps[1][0]: expected ascending seconds"),
        ({"rate_per_second": "none", "steps": [[0, 5, 6]]}, "steps[0]: expected a pair"),
        ({"rate_per_second": "none", "steps": [[0, -1]]}, "steps[0][1]: expected a number from 0"),
        ({"rate_per_second": "none", "steps": {"0": 1}}, "steps: expected a list"),
        ({"rate_per_second": "none", "arrivals_seconds": [1, 0.5]}, "arrivals_seconds[1]: expected ascending seconds"),
        ({"rate_per_second": "none", "arrivals_seconds": ["x"]}, "arrivals_seconds[0]: expected a number"),
        (
            {"rate_per_second": "none", "arrivals_seconds": [0.1] * 11, "max_rate_per_second": 10},
            "arrivals_seconds[10]: expected at most 10 in any second",
        ),
        (
            {"rate_per_second": "none", "arrivals_seconds": [1, 2, 3], "max_requests": 2},
            "arrivals_seconds: expected at most max_requests (2), got 3",
        ),
        ({"headers": {"X-A": "a\r\nEvil: 1"}}, "headers.X-A: expected printable"),
        ({"headers": {"bad name": "a"}}, "headers: expected a name"),
        ({"headers": {"a": 1}}, "headers.a: expected printable"),
        ({"headers": []}, "headers: expected an object"),
        ({"users": []}, "users: expected an object"),
        ({"users": {}}, "users.count: expected a value, got none"),
        ({"users": {"count": 0}}, "users.count: expected a whole number"),
        ({"users": {"count": 5, "kount": 1}}, "unknown field 'kount'; did you mean 'count'?"),
        (
            {"users": {"count": 5, "cookie": "a", "values": {"x": 0.4}}},
            "users.values: expected shares that add to 1, got 0.4",
        ),
        ({"users": {"count": 5, "values": {"x": 1}}}, "users.values: expected a header or a cookie"),
        ({"users": {"count": 5, "cookie": "a", "values": {"x; y": 1}}}, "users.values: expected letters"),
        ({"users": {"count": 5, "keep_cookies": 1}}, "users.keep_cookies: expected true or false"),
        ({"log": ""}, "log: expected the name of a file"),
        ({"max_requests": 10**9}, "max_requests: expected a whole number"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem in refused(**changes)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost",
        "8.8.8.8",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "127.0.0.1:80",
        "",
        "2130706433",
    ],
)
def test_only_loopback_is_a_target(host: str) -> None:
    assert "host: expected an address" in refused(host=host)


def test_a_private_network_is_a_target_when_the_drill_names_it() -> None:
    parse(json.dumps({**LEAST, "host": "10.96.3.4", "allow": ["10.96.0.0/12"]}))
    assert "or inside 10.96.0.0/12 (allow), got 10.0.0.1" in refused(host="10.0.0.1", allow=["10.96.0.0/12"])
    for network in ("0.0.0.0/0", "8.8.8.0/24", "169.254.0.0/16", "224.0.0.0/4", "::/0", "10.0.0.1/8", "x", 5, None):
        assert "allow: expected a" in refused(host="10.0.0.1", allow=[network])


@given(st.ip_addresses(), st.lists(st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"]), max_size=2))
def test_no_public_address_is_ever_a_target(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, allow: list[str]
) -> None:
    try:
        parse(json.dumps({**LEAST, "host": str(address), "allow": allow}))
    except ConfigError:
        return
    assert address.is_private or address.is_loopback


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "load.json"
    with pytest.raises(ConfigError, match=r"load.json: No such file"):
        read(bad)
    for text in ("", "[]", "{", "[" * 100_000, '{"host": 1e400}', "\x00"):
        bad.write_text(text)
        with pytest.raises(ConfigError, match=r"load.json: .*expected"):
            read(bad)
