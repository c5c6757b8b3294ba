"""How a server changes an object: a merge patch, and server-side apply."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, lists are replaced.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    found = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def applied(there: Object, body: Object, before: Object | None) -> Object:
    """What an object is after an apply: the body's fields are so, those that the same manager said before and no longer
    says are gone, all others stay. Lists are replaced whole.

    >>> applied({"a": 1, "b": 2, "c": 3}, {"a": 5}, {"a": 1, "b": 2})
    {'a': 5, 'c': 3}
    """
    found = copy.deepcopy(there)
    for key in (before or {}).keys() - body.keys():
        found.pop(key, None)
    for key, value in body.items():
        old = found.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            earlier = (before or {}).get(key)
            found[key] = applied(old, value, earlier if isinstance(earlier, dict) else None)
        else:
            found[key] = copy.deepcopy(value)
    return found
