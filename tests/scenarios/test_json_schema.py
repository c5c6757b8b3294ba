"""The JSON Schema knows every word that the loader knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scenarios import json_schema
from scenarios.fields import words
from scenarios.presets import schedules, services
from scenarios.schema import Model, Scenario
from scenarios.strategy_spec import StrategyWords


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a schema."""
    if isinstance(schema, dict):
        yield schema
        for below in schema.values():
            yield from parts(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from parts(below)


def models(model: type[Model]) -> list[type[Model]]:
    found = [model]
    for one in found:
        for field in one.model_fields.values():
            stack: list[Any] = [field.annotation]
            while stack:
                part = stack.pop()
                if isinstance(part, type) and issubclass(part, Model) and part not in found:
                    found.append(part)
                stack += getattr(part, "__args__", ())
    return found


def test_every_word_of_every_model_is_there() -> None:
    schema = json_schema.scenario_schema()
    assert set(words(Scenario)) | {"extends"} == set(schema["properties"])
    for model in (*models(Scenario)[1:], *models(StrategyWords)):
        given = set(schema["$defs"][model.__name__]["properties"])
        assert given - {"preset"} == set(words(model)), model.__name__


def test_every_reference_leads_somewhere_and_no_word_is_pydantics_own() -> None:
    schema = json_schema.scenario_schema()
    for part in parts(schema):
        if isinstance(reference := part.get("$ref"), str):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]
        assert not {"ge", "le", "gt", "lt"} & set(part)


def test_units_are_texts_or_numbers_and_unknown_fields_are_refused() -> None:
    schema = json_schema.scenario_schema()
    horizon = schema["properties"]["horizon"]["anyOf"]
    assert [form["type"] for form in horizon] == ["string", "number"]
    assert schema["$defs"]["StepWords"]["properties"]["setWeight"]["anyOf"][0] == {
        "minimum": 0,
        "maximum": 100,
        "type": "integer",
    }
    assert schema["additionalProperties"] is False
    assert all(schema["$defs"][model.__name__]["additionalProperties"] is False for model in models(Scenario)[1:])


def test_presets_are_offered_by_name() -> None:
    schema = json_schema.scenario_schema()
    offered = [one["const"] for one in schema["properties"]["service"]["anyOf"][0]["oneOf"]]
    assert offered == list(services())
    steps = [one["const"] for one in schema["$defs"]["CanaryWords"]["properties"]["steps"]["anyOf"][0]["oneOf"]]
    assert steps == list(schedules())


def test_the_text_is_json_and_always_the_same() -> None:
    assert json.loads(json_schema.text()) == json_schema.scenario_schema()
    assert json_schema.text() == json_schema.text()
