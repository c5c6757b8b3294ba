"""As much of the API server's structural schemas as the CRDs of Chaos Mesh use: what in a value is not as they say."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_WIDTHS = {"int32": 2**31, "int64": 2**63}


@functools.cache
def schema_of(plural: str) -> dict[str, Any]:
    """The schema of a kind; the test is skipped where the CRDs are not."""
    folder = os.environ.get("ROLLOUTLAB_CRDS")
    if not folder:
        pytest.skip("schemas of other projects: set ROLLOUTLAB_CRDS to a folder that holds them")
    text = (Path(folder) / "chaos-mesh" / f"{plural}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = YAML(typ="safe").load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def wrong(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """What is wrong with a value, each with its place; a field that the schema does not know is wrong too."""
    kind = schema.get("type")
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        return [f"{path}: {value!r} is no {kind}"]
    found = [f"{path}: {value!r} is none of {schema['enum']}"] if value not in schema.get("enum", [value]) else []
    if kind == "string" and not re.search(schema.get("pattern", ""), value):
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")
    if schema.get("format") == "byte" and not re.fullmatch(
        r"([A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2}([A-Za-z0-9+/=]=|[A-Za-z0-9+/]{2})", value
    ):
        found.append(f"{path}: {value!r} is no text of bytes, of which there must be one")
    if kind == "integer":
        width = _WIDTHS.get(schema.get("format", "int64"), 2**63)
        least = schema.get("minimum", -width) + (schema.get("exclusiveMinimum") is True)
        low, high = max(least, -width), min(schema.get("maximum", width), width - 1)
        found += [] if low <= value <= high else [f"{path}: {value} is not in {low}..{high}"]
    if kind == "array":
        found += [one for n, each in enumerate(value) for one in wrong(each, schema["items"], f"{path}[{n}]")]
    if kind == "object":
        found += _object(value, schema, path)
    return found


def _object(value: dict[str, Any], schema: dict[str, Any], path: str) -> list[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    found = [f"{path}: lacks {name}" for name in schema.get("required", ()) if name not in value]
    for name, each in value.items():
        inner = known.get(name, rest)
        if inner is None and known:
            found.append(f"{path}: no field {name}")
        elif inner:
            found += wrong(each, inner, f"{path}.{name}")
    return found
