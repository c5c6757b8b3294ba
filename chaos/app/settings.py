"""What the application under test can be told: who it is (fixed), and its knobs (changed while it runs).

Both have the same names in the environment and in JSON; a value may be text (as the environment holds it) or a number.
All times are seconds of the real clock: whoever speeds a drill up divides them before.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, cast

MOST_MIB: Final = 1_048_576.0
LONGEST_SECONDS: Final = 86_400.0
#: upper bounds in seconds that Prometheus' client libraries use when none are given
DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONGEST_TEXT: Final = 253

#: (lowest, highest) value of numbers that have no other limits than zero and a day
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "APP_PORT": (0, 65_535),
    "APP_ADMIN_PORT": (0, 65_535),
    "THREADS": (0, 1_000_000),
    "SEED": (0, 2**63 - 1),
    "ERROR_RATE": (0, 1),
    "ADDED_LATENCY_SHARE": (0, 1),
    "LEAK_MIB_PER_MINUTE": (0, MOST_MIB),
    "LEAK_MIB_PER_REQUEST": (0, MOST_MIB),
    "MEMORY_BASE_MIB": (0, MOST_MIB),
    "MEMORY_LIMIT_MIB": (0, MOST_MIB),
    "POOL_SIZE": (1, 10_000),
    "POOL_LEAK_PER_REQUEST": (0, 1),
    "POOL_HOLD_SHARE": (0, 1),
}


class SettingError(ValueError):
    """A setting that cannot be used; the text names it and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How the application behaves; each may be changed at any time.

    Attributes are the names of the environment in lower case.
    """

    error_rate: float = 0.0  #: share of requests that are answered with 500
    latency_p50: float = 0.0  #: seconds; time to answer is log-normal, 0 answers at once
    latency_p99: float = 0.0  #: seconds; at least the p50, and the same as the p50 when it is 0
    added_latency: float = 0.0  #: seconds on top, for a share of the requests
    added_latency_share: float = 1.0
    leak_mib_per_minute: float = 0.0  #: memory that is allocated, touched and never given back
    leak_mib_per_request: float = 0.0
    memory_limit_mib: float = 0.0  #: above it the process ends itself with 137, as the kernel would; 0: no limit
    pool_size: int = 20  #: connections to the back end
    pool_leak_per_request: float = 0.0  #: share of requests that never give their connection back
    pool_timeout: float = 1.0  #: seconds that a request waits for a connection before it fails with 500
    pool_hold_share: float = 0.0  #: share of the time to answer for which a request keeps its connection
    drain: float = 0.0  #: seconds that it goes on accepting requests after SIGTERM
    graceful: bool = True  #: after SIGTERM it finishes the requests in flight; false: it exits with 143 at once
    not_ready: bool = False  #: /readyz fails
    crash_after: float = 0.0  #: exits with 1 this many seconds after the process began; 0: never
    listen: bool = True  #: false: connections are refused, the port stays ours
    metrics_blind: bool = False  #: /metrics fails

    def __post_init__(self) -> None:
        if self.latency_p99 and self.latency_p99 < self.latency_p50:
            raise SettingError(
                f"LATENCY_P99: expected at least LATENCY_P50 ({self.latency_p50:g}), got {self.latency_p99:g}"
            )
        for name in ("LEAK_MIB_PER_MINUTE", "LEAK_MIB_PER_REQUEST"):
            if getattr(self, name.lower()) and not self.memory_limit_mib:
                raise SettingError(f"{name}: a leak needs a MEMORY_LIMIT_MIB above 0, at which it ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the application is and where it listens; fixed for the life of the process."""

    app_service: str = "service"
    app_namespace: str = "default"
    app_version: str = "v1"
    app_revision: Literal["stable", "canary"] = "stable"
    app_pod: str = "local"
    app_template_hash: str = ""  #: label pod_template_hash; empty: the revision
    app_host: str = "127.0.0.1"  #: an address, not a name
    app_port: int = 0  #: 0: the kernel chooses
    app_admin_host: str = (
        "127.0.0.1"  #: one address; in a pod, its own lets the harness in, and whoever reaches the pod
    )
    app_admin_port: int = 0
    app_births: Literal["start", "first_event"] = "start"  #: when the series of a status code begin
    app_path: Literal["/", "/checkout"] = "/"  #: whose series exist from the start
    app_buckets: tuple[float, ...] = DEFAULT_BUCKETS  #: upper bounds in seconds, text: separated by commas
    start_seconds: float = 0.0  #: until then it does not listen
    memory_base_mib: float = 0.0  #: resident size that a fresh process fills up to
    threads: int = 0  #: requests that are answered at the same time, the others wait; 0: any number
    seed: int | None = None  #: of all draws, together with the name of the pod; None: not repeatable

    def __post_init__(self) -> None:
        _address("APP_HOST", self.app_host)
        if _address("APP_ADMIN_HOST", self.app_admin_host).is_unspecified:
            raise SettingError(
                f"APP_ADMIN_HOST: expected one address of this machine, got all: {self.app_admin_host!r}"
            )


def read(given: Mapping[str, object]) -> tuple[Identity, Knobs]:
    """Settings by name.

    Raises:
        SettingError: an unknown name, or a value that cannot be used.
    """
    known = {**_names(Identity), **_names(Knobs)}
    values = _values(given, known)
    return (
        Identity(**{name: value for name, value in values.items() if name.upper() in _names(Identity)}),
        Knobs(**{name: value for name, value in values.items() if name.upper() in _names(Knobs)}),
    )


def from_environment(environment: Mapping[str, str]) -> tuple[Identity, Knobs]:
    """Those settings that the environment holds; what else it holds is none of ours.

    Raises:
        SettingError: a value that cannot be used.
    """
    known = {**_names(Identity), **_names(Knobs)}
    return read({name: value for name, value in environment.items() if name in known})


def changed(knobs: Knobs, given: Mapping[str, object]) -> Knobs:
    """The knobs with some of them changed: all of those that are given, or none.

    Raises:
        SettingError: an unknown name, or a value that cannot be used.
    """
    return Knobs(**{**_attributes(knobs), **_values(given, _names(Knobs))})


def shown(settings: Knobs | Identity) -> dict[str, object]:
    """Settings as JSON holds them."""
    return {name.upper(): value for name, value in _attributes(settings).items()}


def _attributes(settings: Knobs | Identity) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


def _names(of: type[Knobs] | type[Identity]) -> dict[str, str]:
    """Name -> the text of its type."""
    return {field.name.upper(): cast(str, field.type) for field in fields(of)}


def _values(given: Mapping[str, object], known: Mapping[str, str]) -> dict[str, Any]:
    for name in given:
        if name not in known:
            raise SettingError(_unknown(name, known))
    return {name.lower(): _value(name, value, known[name]) for name, value in given.items()}


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:64], known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown setting {name[:64]!r};{hint} known: {', '.join(sorted(known))}"


def _value(name: str, value: object, kind: str) -> object:
    if kind == "bool":
        return _switch(name, value)
    if kind.startswith("tuple"):
        return _bounds(name, value)
    if kind.startswith("Literal"):
        words = [word.strip(" \"'") for word in kind.removeprefix("Literal[").removesuffix("]").split(",")]
        if value not in words:
            raise SettingError(f"{name}: expected one of {', '.join(words)}, got {value!r}")
        return value
    if kind == "str":
        return _text(name, value)
    if value is None and kind.endswith("None"):
        return None
    return _number(name, value, whole=kind.startswith("int"))


def _switch(name: str, value: object) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if found is None:
        raise SettingError(f"{name}: expected true or false, got {value!r}")
    return found


def _text(name: str, value: object) -> str:
    """Text that may stand in a header and in a label."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isascii() or not value.isprintable():
        raise SettingError(f"{name}: expected at most {LONGEST_TEXT} printable ASCII characters, got {value!r:.80}")
    return value


def _address(name: str, value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(value)
        return getattr(address, "ipv4_mapped", None) or address
    except ValueError:
        raise SettingError(f"{name}: expected an address such as 127.0.0.1, got {value!r}") from None


def _number(name: str, value: object, *, whole: bool = False) -> float | int:
    low, high = _LIMITS.get(name, (0, LONGEST_SECONDS))
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = int(value) if whole and not isinstance(value, float) else float(value)
        if not math.isfinite(number) or not low <= number <= high or (whole and number != int(number)):
            raise ValueError
    except (ValueError, OverflowError):
        what = "a whole number" if whole else "a number"
        raise SettingError(f"{name}: expected {what} from {low:g} to {high:g}, got {value!r:.80}") from None
    return int(number) if whole else number


def _bounds(name: str, value: object) -> tuple[float, ...]:
    given: object = value.split(",") if isinstance(value, str) else value
    parts: Sequence[object] = given if isinstance(given, list | tuple) else ()
    bounds = tuple(float(_number(name, part)) for part in parts[:101])
    if not 1 <= len(bounds) <= 100 or sorted(set(bounds)) != list(bounds) or bounds[0] <= 0:
        raise SettingError(f"{name}: expected 1 to 100 ascending numbers above 0, got {value!r:.80}")
    return bounds
