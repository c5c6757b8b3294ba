"""What the schema says about a place in a file: which models may stand there, which words they know."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from scenarios.schema import Model, Scenario

#: Words of a file that the loader uses up before the schema sees them.
LOADER_WORDS = ("extends",)


def word(name: str, field: FieldInfo) -> str:
    """The word of the file for an attribute: its alias, or its name."""
    return field.alias or name


def words(model: type[Model]) -> dict[str, FieldInfo]:
    """The words that a model knows, with their fields."""
    return {word(name, field): field for name, field in model.model_fields.items()}


@cache
def _inside(annotation: Any) -> tuple[type[Model], ...]:
    """All models that occur in a type: `tuple[A | B, ...] | None` holds A and B."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return (annotation,)
    return tuple(model for part in typing.get_args(annotation) for model in _safe(part))


def _safe(part: Any) -> tuple[type[Model], ...]:
    try:
        return _inside(part)
    except TypeError:  # a default or limit that cannot be a key of the cache holds no type
        return ()


def _of_kind(models: Iterable[type[Model]], kind: object) -> list[type[Model]]:
    """Those models whose `kind` may be this word; all of them when none may."""
    models = list(models)
    fits = []
    for model in models:
        field = model.model_fields.get("kind")
        if field is not None and kind in typing.get_args(field.annotation):
            fits.append(model)
    return fits or models


def models_at(path: Iterable[str | int], data: Any = None) -> list[type[Model]]:
    """The models that may stand at a path of a scenario file.

    Args:
        path: keys and positions in the words of the file, `("faults", 0)`.
        data: the file as plain values; its `kind` words choose between models that share a place.

    Returns:
        An empty list where no model stands (scalars, and the free sections `strategies` and `variants`).
    """
    models: list[type[Model]] = [Scenario]
    for key in path:
        data = _step(data, key)
        if isinstance(key, int):
            pass  # an item of a list has the models of the list
        else:
            fields = [words(model)[key] for model in models if key in words(model)]
            models = list(dict.fromkeys(below for field in fields for below in _safe(field.annotation)))
        if len(models) > 1 and isinstance(data, dict):
            models = _of_kind(models, data.get("kind"))
    return models


def _step(data: Any, key: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(key)
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        return data[key]
    return None


def known_at(path: Iterable[str | int], data: Any = None) -> list[str]:
    """The words that a mapping at this path may have."""
    path = tuple(path)
    known = dict.fromkeys(name for model in models_at(path, data) for name in words(model))
    return [*known, *(LOADER_WORDS if not path else ())]


def nullable(path: tuple[str | int, ...]) -> bool:
    """Does `null` mean something at this path (no probe, nobody answers), rather than "as if not given"?"""
    if path[:1] == ("variants",):
        path = path[2:]
    if not path:
        return False
    *above, last = path
    fields = [words(model)[last] for model in models_at(above) if isinstance(last, str) and last in words(model)]
    return any(type(None) in typing.get_args(field.annotation) for field in fields)
