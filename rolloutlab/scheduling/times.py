"""When: a cron expression and a time zone. The server reads them; here is refused what it is known to refuse."""

from __future__ import annotations

import re
import zoneinfo
from typing import Final

from scenarios.errors import ScenarioError, unknown

_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
_FIELD: Final = re.compile(r"[0-9A-Za-z*/,?-]+")
_WORDS: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
#: of this machine, whatever it is: a name that means something else elsewhere
_OWN: Final = ("localtime", "local", "posixrules", "factory")


def checked_cron(text: str, *, field: str = "--cron") -> str:
    """A cron expression in one spelling: five fields with one space between them, or a word such as `@daily`.

    Whether a field is in its range is left to the server, which has the last word.

    Raises:
        ScenarioError: it cannot be one.
    """
    words = text.split()
    if any(word.upper().startswith(("TZ=", "CRON_TZ=")) for word in words):
        raise ScenarioError("expected no time zone here: Kubernetes refuses it; give --timezone", field=field)
    if words and words[0].startswith("@"):
        word = " ".join(words)
        if word not in _WORDS:
            raise unknown(word, _WORDS, field=field, what="word")
        return word
    if len(words) != len(_FIELDS):
        raise ScenarioError(expected=f"five fields ({', '.join(_FIELDS)}), as '0 10 * * 2'", got=text, field=field)
    for name, word in zip(_FIELDS, words, strict=True):
        if not _FIELD.fullmatch(word):
            raise ScenarioError(expected=f"0, 1-5, */15, * or the like as {name}", got=word, field=field)
    return " ".join(words)


def checked_zone(name: str, *, field: str = "--timezone") -> str:
    """The name of a time zone, as of the IANA data base.

    Raises:
        ScenarioError: there is none of this name; the nearest one is named.
    """
    known = {zone for zone in zoneinfo.available_timezones() if zone.lower() not in _OWN}
    if name not in known:
        error = unknown(name, known, field=field, what="time zone")
        error.known = ()  # hundreds
        nearest = f"; did you mean {error.nearest!r}?" if error.nearest else ""
        problem = f"unknown time zone {name!r}{nearest} expected a name such as Europe/Berlin or UTC"
        raise ScenarioError(problem, field=field)
    return name
