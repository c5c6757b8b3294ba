"""What a scenario leaves to defaults: one line a field or a silent section, for the result that rests on it."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from scenarios import units
from scenarios.errors import dotted
from scenarios.fields import word
from scenarios.schema import Model, Scenario

#: Not facts about the world: nothing is assumed when they are silent.
_NO_FACTS = frozenset(
    {"kind", "title", "question", "faults", "strategies", "variants", "expect", "name", "returning", "first"}
)
_TEXT: dict[Any, Callable[[float], str]] = {
    units.duration: units.duration_text,
    units.quantity_mib: units.mib_text,
    units.rate: units.rate_text,
    units.share: units.share_text,
}


def assumed(scenario: Scenario, preset: str | None = None) -> tuple[str, ...]:
    """Every default that was taken because the file is silent.

    Args:
        scenario: as validated (it remembers which fields were given).
        preset: name of the service preset that lies under the file, if any.

    Returns:
        Lines such as `service.threads = 50 (schema default)`; a section of which nothing is given is one line.
    """
    lines = [f"service = {preset} (preset, where the file is silent)"] if preset else []
    return (*lines, *_lines(scenario, ()))


def _lines(model: Model, path: tuple[str | int, ...]) -> list[str]:
    lines = []
    for name, field in type(model).model_fields.items():
        if name in _NO_FACTS:
            continue
        value = getattr(model, name)
        here = (*path, word(name, field))
        if name not in model.model_fields_set:
            lines.append(f"{dotted(here)} = {text_of(value, field)} (schema default)")
        elif isinstance(value, Model):
            lines += _lines(value, here)
    return lines


def text_of(value: Any, field: FieldInfo | None = None) -> str:
    """A value in the words of a file: `20s`, `512Mi`, `{p50: 40ms, p99: 250ms}`."""
    if isinstance(value, Model):
        parts = []
        for name, below in type(value).model_fields.items():
            if not (name == "kind" and len(typing.get_args(below.annotation)) == 1 and not below.is_required()):
                parts.append(f"{word(name, below)}: {text_of(getattr(value, name), below)}")
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(text_of(item, field) for item in value)}]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {text_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, int | float):
        text = _unit_of(field)
        return text(value) if text else f"{value:g}"
    return str(value)


def _unit_of(field: FieldInfo | None) -> Callable[[float], str] | None:
    """How the unit of a field is written, found by the function that reads it."""
    if field is None:
        return None
    for mark in (*field.metadata, *_marks(field.annotation)):
        if isinstance(mark, BeforeValidator) and mark.func in _TEXT:
            return _TEXT[mark.func]
    return None


def _marks(annotation: Any) -> list[Any]:
    """All marks of `Annotated` inside a type."""
    marks = list(getattr(annotation, "__metadata__", ()))
    for part in typing.get_args(annotation):
        marks += _marks(part)
    return marks
