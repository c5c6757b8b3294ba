"""Bad input, said in one line: where it stands, what was expected, what would be right.

`file:line:col field: expected …, got …; did you mean …? known: …`

An error inside a text (a query, a condition) or about a provider shows the line below, with a caret under the fault.

Readers collect what they find and raise it together (`ScenarioErrors`), so that one look at a file shows everything.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1, line 0 says that only the source as a whole is known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = one_line(self.file, 400)
        if not self.line:
            return file
        return f"{file}:{self.line}:{self.column}" if self.column else f"{file}:{self.line}"


class ScenarioError(Exception):
    """One thing wrong in what a user wrote.

    Attributes:
        problem: what is wrong, for instance `expected 1 or more, got 0`.
        field: path of the field in the words of the file, `faults[0].ratio`; empty for the file as a whole.
        place: file, line and column; None when the source has none.
        expected, got: parts of `problem` where it has this form, else empty and None.
        nearest: the known name that looks most like the one given, or None.
        known: all names that would have been right; empty when the problem is not a name.
        excerpt: lines shown below it: the text that it is about, and a caret under the fault.
    """

    def __init__(
        self,
        problem: str = "",
        *,
        field: str = "",
        place: Place | None = None,
        expected: str = "",
        got: Any = None,
        nearest: str | None = None,
        known: Iterable[str] = (),
        excerpt: Iterable[str] = (),
    ) -> None:
        self.expected = expected
        self.got = got
        self.problem = problem or f"expected {expected}, got {shown(got)}"
        self.field = field
        self.place = place
        self.nearest = nearest
        self.known = tuple(known)
        self.excerpt = tuple(excerpt)
        super().__init__(str(self))

    def __str__(self) -> str:
        where = _where(str(self.place or ""), self.field)
        text = f"{where}: {self.problem}" if where else self.problem
        if self.nearest is not None:
            text += f"; did you mean {self.nearest!r}?"
        if self.known:
            text += (
                f"{'' if self.nearest is not None else ';'} known: {', '.join(one_line(name) for name in self.known)}"
            )
        return "\n".join((text, *self.excerpt))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders whole (workers send them back)."""
        return _revive, (type(self), self.__dict__.copy())

    @property
    def file(self) -> str:
        """Name of the file, or an empty text."""
        return self.place.file if self.place else ""

    @property
    def line(self) -> int:
        """Line, from 1; 0 when unknown."""
        return self.place.line if self.place else 0

    @property
    def column(self) -> int:
        """Column, from 1; 0 when unknown."""
        return self.place.column if self.place else 0


def _where(place: str, field: str) -> str:
    """Place and field; an override names its field itself.

    >>> _where("web.yaml:7", "service.threads"), _where("override service", "service.threads")
    ('web.yaml:7 service.threads', 'override service.threads')
    """
    override, _, path = place.partition(" ")
    if override == "override" and path and field.startswith(path):
        return f"{override} {field}"
    return " ".join(part for part in (place, field) if part)


class ScenarioErrors(ScenarioError):
    """Several things wrong, one line each; as a `ScenarioError` it stands for the first of them."""

    def __init__(self, errors: Iterable[ScenarioError]) -> None:
        self.errors: tuple[ScenarioError, ...] = tuple(errors)
        first = self.errors[0]
        super().__init__(
            first.problem,
            field=first.field,
            place=first.place,
            expected=first.expected,
            got=first.got,
            nearest=first.nearest,
            known=first.known,
            excerpt=first.excerpt,
        )

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def _revive(kind: type[ScenarioError], state: dict[str, Any]) -> ScenarioError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (str(error),)
    return error


def shown(value: Any, limit: int = 60) -> str:
    """A value as an error quotes it: in the words of YAML, on one line, cut when long.

    >>> shown("30 sec"), shown(None), shown(True), shown({"a": 1, "b": 2})
    ("'30 sec'", 'null', 'true', 'a mapping of 2 fields')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)} field{'s' if len(value) != 1 else ''}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} item{'s' if len(value) != 1 else ''}"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, or None when none does.

    >>> near("maxsurge", ["maxSurge", "maxUnavailable"]), near("x", ["replicas"])
    ('maxSurge', None)
    """
    lower = {str(word).lower(): str(word) for word in known}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.55)
    return lower[found[0]] if found else None


def unknown(
    name: Any,
    known: Iterable[str],
    *,
    field: str = "",
    place: Place | None = None,
    what: str = "name",
    excerpt: Iterable[str] = (),
) -> ScenarioError:
    """The error for a word that nobody knows.

    >>> print(unknown("canry", ["canary", "rolling"], field="strategy"))
    strategy: unknown name 'canry'; did you mean 'canary'? known: canary, rolling
    """
    words = sorted(str(word) for word in known)
    problem = f"unknown {what} {shown(name)}"
    nearest = near(str(name), words)
    return ScenarioError(problem, field=field, place=place, got=name, nearest=nearest, known=words, excerpt=excerpt)


def pick(name: str, known: Mapping[str, T], *, field: str, place: Place | None = None, what: str = "name") -> T:
    """Look a name up, or say which names exist.

    >>> pick("canry", {"canary": 1, "rolling": 2}, field="web.yaml:7")
    Traceback (most recent call last):
        ...
    scenarios.errors.ScenarioError: web.yaml:7: unknown name 'canry'; did you mean 'canary'? known: canary, rolling
    """
    if name in known:
        return known[name]
    raise unknown(name, known, field=field, place=place, what=what)


def dotted(path: Iterable[str | int]) -> str:
    """A path of keys and positions as text.

    >>> dotted(("faults", 0, "ratio"))
    'faults[0].ratio'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{one_line(part)}" if text else one_line(part)
    return text


def one_line(text: str, limit: int = 60) -> str:
    """A name as an error quotes it: what would break the line is escaped, and a long one is cut.

    >>> one_line("a\\nb")
    'a\\\\nb'
    """
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return text if len(text) <= limit else f"{text[:limit]}…"


def raise_all(errors: list[ScenarioError]) -> None:
    """Raise what was collected: nothing, or all of it as one `ScenarioErrors`."""
    flat = [one for error in errors for one in (error.errors if isinstance(error, ScenarioErrors) else (error,))]
    if flat:
        raise ScenarioErrors(flat)
