"""The reference of scenario files, drawn from the schema: one table a part of the file."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

from markdown import table
from pydantic import BaseModel

from scenarios import schema, strategy_spec, units

#: name of the reader of a unit in scenarios/units.py -> what a file says there
UNITS = {
    "duration": "duration (`30s`)",
    "quantity_mib": "memory (`512Mi`)",
    "rate": "rate (`120/s`)",
    "share": "share (`5%`)",
    "whole": "whole number",
    "real": "number",
    "pods_or_percent": "pods or percentage (`2`, `25%`)",
    "_measure": "name of a measure",
}
PLAIN = {str: "text", bool: "`true` or `false`", float: "number", int: "whole number"}
HIDDEN = (schema.Model, schema.FaultBase)


def parts_of(module: types.ModuleType) -> list[type[schema.Model]]:
    """The models that a module defines, in its order; bases that no file sees are left out."""
    models = [model for model in vars(module).values() if isinstance(model, type) and issubclass(model, schema.Model)]
    own = [model for model in models if model.__module__ == module.__name__ and not model.__name__.startswith("_")]
    return [model for model in own if model not in HIDDEN]


def section(model: type[schema.Model]) -> str:
    """One part of a file: what it is, and its fields."""
    rows: list[list[object]] = []
    for name, field in model.model_fields.items():
        value = value_of(field.annotation, field.metadata)
        rows.append([f"`{field.alias or name}`", value, default_of(name, field), field.description or ""])
    fields = table(["field", "value", "default", "note"], rows) if rows else ""
    return f"## {model.__name__}\n\n{model.__doc__}\n\n{fields}".rstrip()


def scenario_fields() -> str:
    """One section a model: the whole file first, then its parts in the order of the schema."""
    return _sections(schema, first=schema.Scenario)


def strategy_fields() -> str:
    """One section a model of what may stand under `strategies:`."""
    return _sections(strategy_spec, first=strategy_spec.StrategyWords)


def _sections(module: types.ModuleType, first: type[schema.Model]) -> str:
    parts = [model for model in parts_of(module) if model is not first]
    return "\n\n".join(map(section, [first, *parts]))


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
