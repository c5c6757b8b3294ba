"""The reference of scenario files, drawn from the schema: one table a part of the file."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

from markdown import table
from pydantic import BaseModel

from scenarios import schema, units

#: name of the reader of a unit in scenarios/units.py -> what a file says there
UNITS = {
    "duration": "duration (`30s`)",
    "quantity_mib": "memory (`512Mi`)",
    "rate": "rate (`120/s`)",
    "share": "share (`5%`)",
    "whole": "whole number",
    "real": "number",
}
PLAIN = {str: "text", bool: "`true` or `false`", float: "number", int: "whole number"}
HIDDEN = (schema.Model, schema.FaultBase)


def scenario_fields() -> str:
    """One section a model: the whole file first, then its parts in the order of the schema."""
    models = [model for model in vars(schema).values() if isinstance(model, type) and issubclass(model, schema.Model)]
    parts = []
    for model in [schema.Scenario, *(model for model in models if model is not schema.Scenario)]:
        if model in HIDDEN:
            continue
        rows: list[list[object]] = []
        for name, field in model.model_fields.items():
            value = value_of(field.annotation, field.metadata)
            rows.append([f"`{field.alias or name}`", value, default_of(name, field), field.description or ""])
        parts.append(f"## {model.__name__}\n\n{model.__doc__}\n\n{table(['field', 'value', 'default', 'note'], rows)}")
    return "\n\n".join(parts)


def _unit(metadata: typing.Iterable[Any]) -> str | None:
    """The unit that a field is read with, if it has one."""
    names = (getattr(getattr(mark, "func", None), "__name__", "") for mark in metadata)
    return next((name for name in names if name in UNITS), None)


def value_of(annotation: Any, metadata: typing.Iterable[Any] = ()) -> str:
    """What a file says at a place of this type: a unit, the words of a Literal, or a link to a part."""
    unit = _unit(metadata)
    if unit is not None:
        return UNITS[unit]
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{word}`" for word in inside)
    if origin is typing.Annotated:
        return value_of(inside[0], inside[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(value_of, inside))
    if origin is tuple and inside[-1] is Ellipsis:
        return f"list of {value_of(inside[0])}"
    if origin is tuple:
        return f"[{', '.join(map(value_of, inside))}]"
    if origin is dict:
        return "mapping by name"
    if annotation is types.NoneType:
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return PLAIN[annotation]


def default_of(name: str, field: Any) -> str:
    """The default in the words of a file."""
    if field.is_required():
        return "required"
    return _text(name, field.default, _unit(field.metadata))


def _text(name: str, value: Any, unit: str | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, BaseModel):
        said = {key: field for key, field in type(value).model_fields.items() if key in value.model_fields_set}
        texts = [
            f"{field.alias or key}: {_text(key, getattr(value, key), _unit(field.metadata))}"
            for key, field in said.items()
        ]
        return f"{{{', '.join(texts)}}}" if texts else "its defaults"
    if isinstance(value, tuple) and value:
        return f"[{', '.join(_text(name, item, unit) for item in value)}]"
    if value in ((), {}, ""):
        return "none"
    if unit == "share":
        return units.share_text(value)
    if unit == "real":
        return f"{value:g}"
    texts_of = {"_seconds": units.duration_text, "_mib": units.mib_text, "_per_second": units.rate_text}
    write = next((write for end, write in texts_of.items() if name.endswith(end)), None)
    if write is not None:
        return write(value)
    return json.dumps(value) if isinstance(value, bool | int | float) else f"`{value}`"
