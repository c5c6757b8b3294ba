"""What the load generator is told: where to, how much, for how long, and the bounds it keeps.

One JSON object. All times are seconds of the real clock, rates are per second of it: whoever speeds a drill up
multiplies them before.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

LONGEST_BYTES: Final = 64 * 1024 * 1024  #: of a configuration
MOST_REQUESTS: Final = 5_000_000
MOST_PER_SECOND: Final = 100_000.0
MOST_USERS: Final = 1_000_000
LONGEST_SECONDS: Final = 86_400.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,998}[\x21-\x7e])?")
_PATH: Final = re.compile(r"/[\x21\x24-\x7e]{0,1999}")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names the field and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who sends the requests.

    Each request is of one user, drawn with a probability in proportion to rank^-zipf. A user carries the same header or
    cookie all the time: a value drawn once with the shares of `values`, or the number of the user without them.
    """

    count: int
    zipf: float = 0.0  #: 0: all alike
    header: str = ""  #: its name; empty: none
    cookie: str = ""
    values: Mapping[str, float] = field(default_factory=dict)  #: value -> share (0..1) of the users
    keep_cookies: bool = False  #: give back what the target sets, as a browser does

    def __post_init__(self) -> None:
        _whole("users.count", self.count, 1, MOST_USERS)
        _number("users.zipf", self.zipf, 0, 3)
        for name in ("header", "cookie"):
            if getattr(self, name):
                _match(f"users.{name}", getattr(self, name), _TOKEN, "a name")
        for value, share in self.values.items():
            _match("users.values", value, re.compile(r"[A-Za-z0-9._~-]{1,200}"), "letters, digits and ._~-")
            _number(f"users.values.{value}", share, 0, 1)
        if self.values and abs(math.fsum(self.values.values()) - 1) > 1e-9:
            raise ConfigError(f"users.values: expected shares that add to 1, got {math.fsum(self.values.values()):g}")
        if self.values and not (self.header or self.cookie):
            raise ConfigError("users.values: expected a header or a cookie that carries them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """All that one run of the generator does.

    Exactly one of `rate_per_second`, `steps`, `arrivals_seconds` and `clients` says how much. The first three are open
    loops: requests are sent when they are due, whatever became of the earlier ones. `clients` is a closed loop.
    """

    host: str  #: an address on loopback, or inside one of `allow`
    port: int
    log: str  #: the file for responses; a summary goes beside it
    duration_seconds: float
    path: str = "/"
    rate_per_second: float | None = None  #: Poisson arrivals at this rate
    steps: tuple[tuple[float, float], ...] | None = None  #: (second, rate from then on), the first at 0
    arrivals_seconds: tuple[float, ...] | None = None  #: a recorded trace: when each request is due, ascending
    clients: int | None = None  #: this many send, wait for the answer, think, and send again
    think_seconds: float = 0.0  #: mean of an exponential law, for `clients`
    seed: int = 0
    max_rate_per_second: float = 5_000.0  #: in any second of the schedule
    max_requests: int = 1_000_000
    max_open: int = 2_000  #: requests that wait for their answers at the same time; more are held back
    timeout_seconds: float = 10.0  #: from the intended time to the end of the answer
    max_lag_seconds: float = 0.05  #: p99 of its own lateness above which a run is no measurement
    new_connection_share: float = 0.0  #: share (0..1) of requests that use a connection of their own
    users: Users | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    version_header: str = ""  #: of a service of somebody else: tells versions apart; empty: `x-revision` names ours
    learn_seconds: float = 0.0  #: versions that are seen until then are the stable revision's, all others the canary's
    allow: tuple[str, ...] = ()  #: private networks that are targets as well, such as 10.96.0.0/12

    def __post_init__(self) -> None:
        _check_target(self.host, self.allow)
        _whole("port", self.port, 1, 65_535)
        _match("path", self.path, _PATH, "a path that begins with / and holds no space, ? or #")
        if not isinstance(self.log, str) or not self.log or "\0" in self.log:
            raise ConfigError(f"log: expected the name of a file, got {self.log!r:.80}")
        _number("duration_seconds", self.duration_seconds, 0.001, LONGEST_SECONDS)
        _number("max_rate_per_second", self.max_rate_per_second, 0.001, MOST_PER_SECOND)
        _whole("max_requests", self.max_requests, 1, MOST_REQUESTS)
        _whole("max_open", self.max_open, 1, 100_000)
        _number("timeout_seconds", self.timeout_seconds, 0.001, 3600)
        _number("max_lag_seconds", self.max_lag_seconds, 0, 3600)
        _number("learn_seconds", self.learn_seconds, 0, LONGEST_SECONDS)
        if self.version_header:
            _match("version_header", self.version_header, _TOKEN, "a name")
        _number("think_seconds", self.think_seconds, 0, 3600)
        _number("new_connection_share", self.new_connection_share, 0, 1)
        _whole("seed", self.seed, 0, 2**63 - 1)
        for name, value in self.headers.items():
            _match("headers", name, _TOKEN, "a name")
            _match(f"headers.{name}", value, _VALUE, "printable ASCII characters")
        self._check_schedule()

    def _check_schedule(self) -> None:
        given = [name for name in _SCHEDULES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"expected exactly one of {', '.join(_SCHEDULES)}, got {', '.join(given) or 'none'}")
        if self.rate_per_second is not None:
            _number("rate_per_second", self.rate_per_second, 0, self.max_rate_per_second)
        if self.clients is not None:
            _whole("clients", self.clients, 1, self.max_open)
        if self.steps is not None:
            _check_steps(self.steps, self.max_rate_per_second)
        if self.arrivals_seconds is not None:
            _check_arrivals(self.arrivals_seconds, self.max_rate_per_second, self.max_requests)

    @property
    def open_loop(self) -> bool:
        """Requests are sent when they are due, not when somebody has an answer."""
        return self.clients is None

    @property
    def rates(self) -> tuple[tuple[float, float], ...]:
        """(second, rate per second from then on) of Poisson arrivals."""
        if self.steps is not None:
            return self.steps
        return ((0.0, self.rate_per_second or 0.0),)

    def to_json(self) -> str:
        """The configuration as `read` takes it."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.users is not None:
            plain["users"] = {each.name: getattr(self.users, each.name) for each in fields(self.users)}
        return json.dumps({name: value for name, value in plain.items() if value is not None})


_SCHEDULES: Final = ("rate_per_second", "steps", "arrivals_seconds", "clients")


def read(path: Path) -> Load:
    """A configuration from a file.

    Raises:
        ConfigError: it cannot be read, or holds what cannot be used.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if len(text) > LONGEST_BYTES:
        raise ConfigError(f"{path}: expected at most {LONGEST_BYTES} bytes")
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(text: bytes | str) -> Load:
    """A configuration from JSON.

    Raises:
        ConfigError: it holds what cannot be used.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"expected a JSON object: {error}") from None
    values = _object("", given, Load)
    if isinstance(values.get("users"), dict):
        values["users"] = Users(**_object("users", values["users"], Users))
    elif values.get("users") is not None:
        raise ConfigError("users: expected an object")
    for name in ("headers", "allow", "steps", "arrivals_seconds"):
        kind = dict if name == "headers" else list
        if not isinstance(values.get(name), kind | None):
            raise ConfigError(f"{name}: expected {'an object' if kind is dict else 'a list'}")
        if isinstance(values.get(name), list):
            values[name] = tuple(tuple(each) if isinstance(each, list) else each for each in values[name])
    return Load(**values)


def _object(where: str, given: object, of: type[Load] | type[Users]) -> dict[str, Any]:
    """A JSON object with the fields of a dataclass, those without a default at least."""
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected an object".removeprefix(": "))
    known = [each.name for each in fields(of)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:64], known, n=1)
            hint = f" did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown field {name[:64]!r};{hint} known: {', '.join(known)}")
    needed = {Load: ("host", "port", "log", "duration_seconds"), Users: ("count",)}[of]
    for name in needed:
        if name not in given:
            raise ConfigError(f"{where + '.' if where else ''}{name}: expected a value, got none")
    if of is Users and not isinstance(given.get("values", {}), dict):
        raise ConfigError("users.values: expected an object")
    for switch in ("keep_cookies",):
        if not isinstance(given.get(switch, False), bool):
            raise ConfigError(f"users.{switch}: expected true or false, got {given[switch]!r:.80}")
    return given


# --- checks ------------------------------------------------------------------------------------------------------


def _check_target(host: str, allow: Sequence[str]) -> None:
    """Loopback, or inside a private network that the drill names: nobody else gets traffic."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ConfigError(f"host: expected an address such as 127.0.0.1, got {host!r:.80}") from None
    networks = [_network(each) for each in allow]
    if not address.is_loopback and not any(address in network for network in networks):
        also = f" or inside {', '.join(allow)} (allow)" if allow else "; private networks can be named in allow"
        raise ConfigError(f"host: expected an address on loopback{also}, got {host}")


def _network(text: object) -> Network:
    try:
        network = ipaddress.ip_network(text)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise ConfigError(f"allow: expected a network such as 10.96.0.0/12, got {text!r:.80}") from None
    special = network.is_multicast or network.is_link_local or network.is_unspecified or network.is_reserved
    if not isinstance(text, str) or not network.is_private or special or network.network_address.is_unspecified:
        raise ConfigError(f"allow: expected a private network, got {text!r:.80}")
    return network


def _check_steps(steps: Sequence[Any], most: float) -> None:
    if not 1 <= len(steps) <= 1_000_000:
        raise ConfigError(f"steps: expected 1 to 1000000 pairs of second and rate, got {len(steps)}")
    last = -1.0
    for number, step in enumerate(steps):
        if not isinstance(step, tuple) or len(step) != 2:
            raise ConfigError(f"steps[{number}]: expected a pair of second and rate, got {step!r:.80}")
        _number(f"steps[{number}][0]", step[0], 0, LONGEST_SECONDS)
        _number(f"steps[{number}][1]", step[1], 0, most)
        if step[0] <= last or (number == 0 and step[0] != 0):
            raise ConfigError(f"steps[{number}][0]: expected ascending seconds that begin at 0, got {step[0]:g}")
        last = step[0]


def _check_arrivals(arrivals: Sequence[Any], most: float, count: int) -> None:
    if len(arrivals) > count:
        raise ConfigError(f"arrivals_seconds: expected at most max_requests ({count}), got {len(arrivals)}")
    last, behind = 0.0, 0
    for number, second in enumerate(arrivals):
        _number(f"arrivals_seconds[{number}]", second, 0, LONGEST_SECONDS)
        if second < last:
            raise ConfigError(f"arrivals_seconds[{number}]: expected ascending seconds, got {second:g} after {last:g}")
        last = second
        while arrivals[behind] <= second - 1:
            behind += 1
        if number - behind + 1 > math.ceil(most):
            raise ConfigError(f"arrivals_seconds[{number}]: expected at most {most:g} in any second")


def _number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r:.80}")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name}: expected a whole number from {low} to {high}, got {value!r:.80}")


def _match(name: str, value: object, pattern: re.Pattern[str], what: str) -> None:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ConfigError(f"{name}: expected {what}, got {value!r:.80}")
