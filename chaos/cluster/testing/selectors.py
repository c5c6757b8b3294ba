"""Label and field selectors as the API takes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
_TERM = re.compile(
    r"(?P<absent>!)?(?P<key>[\w./-]+)\s*(?:(?P<op>=|==|!=|\bin\b|\bnotin\b)\s*(?P<value>\([^)]*\)|[\w.-]*))?\s*(?:,|$)"
)


class SelectorError(ValueError):
    """Not a selector; a server answers 400."""


def by_labels(text: str) -> Callable[[Object], bool]:
    """Whether an object's labels match.

    >>> match = by_labels("app=web,tier in (a, b),!old")
    >>> match({"metadata": {"labels": {"app": "web", "tier": "b"}}})
    True

    Raises:
        SelectorError: it is none.
    """
    terms, at, whole = [], 0, text.strip()
    while at < len(whole):
        found = _TERM.match(whole, at)
        if found is None or found.end() == at:
            raise SelectorError(f"unable to parse requirement: {whole[at:]!r}")
        terms.append((found["key"], _test(found)))
        at = found.end()

    def match(found: Object) -> bool:
        labels = found["metadata"].get("labels") or {}
        return all(test(labels.get(key)) for key, test in terms)

    return match


def _test(found: re.Match[str]) -> Callable[[str | None], bool]:
    operator, value = found["op"], found["value"]
    if found["absent"]:
        return lambda label: label is None
    if operator is None:
        return lambda label: label is not None
    values = {word.strip() for word in value.strip("()").split(",")} if value.startswith("(") else {value}
    if operator in ("!=", "notin"):
        return lambda label: label not in values
    return lambda label: label is not None and label in values


def by_fields(text: str) -> Callable[[Object], bool]:
    """Whether an object's fields match: `metadata.name=x`, `status.phase!=y`.

    Raises:
        SelectorError: it is none.
    """
    terms = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        key, operator, value = part.partition("!=" if "!=" in part else "=")
        if not operator:
            raise SelectorError(f"invalid field selector: {part!r}")
        terms.append((key.split("."), operator == "=", value.removeprefix("=")))

    def match(found: Object) -> bool:
        return all((str(_at(found, path)) == value) is equal for path, equal, value in terms)

    return match


def _at(found: Any, path: list[str]) -> Any:
    for key in path:
        found = found.get(key, "") if isinstance(found, dict) else ""
    return found
