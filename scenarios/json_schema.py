"""The JSON Schema of a scenario file, for editors and other tools (draft 2020-12).

It knows what the loader adds to the typed scenario: `extends`, presets by name, variants, the words of strategies.
The loader stays the judge: a file that extends another may hold half of a section, which an editor cannot know.
"""

from __future__ import annotations

import json
from typing import Any, Final

from scenarios.fields import words
from scenarios.presets import schedules, services
from scenarios.schema import Scenario, Service
from scenarios.strategy_spec import CanaryWords, StrategyWords

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REF: Final = "#/$defs/{model}"
Json = dict[str, Any]


def scenario_schema() -> Json:
    """The schema as plain dicts, the same for every call."""
    schema = Scenario.model_json_schema(by_alias=True, ref_template=REF)
    strategy = StrategyWords.model_json_schema(by_alias=True, ref_template=REF)
    definitions: Json = {**schema.pop("$defs"), **strategy.pop("$defs"), StrategyWords.__name__: strategy}
    properties: Json = schema["properties"]
    properties["extends"] = {
        "type": "string",
        "pattern": r"\.ya?ml$",
        "description": "a file that this one is laid over, relative to this one",
    }
    _service(properties, definitions)
    _steps(definitions)
    properties["strategies"]["additionalProperties"] = _ref(StrategyWords.__name__)
    properties["variants"]["additionalProperties"] = {
        "type": "object",
        "propertyNames": {"enum": [name for name in words(Scenario) if name not in ("apiVersion", "kind", "variants")]},
        "description": "laid over the file: mappings merge, lists replace, null takes away",
    }
    complete = schema.pop("required")
    schema = {
        "$schema": DIALECT,
        **schema,
        "description": "A scenario of rolloutlab: " + schema["description"],
        "anyOf": [{"required": complete}, {"required": ["extends"]}],
    }
    tidy: Json = _tidy({**schema, "$defs": dict(sorted(definitions.items()))})
    return tidy


def text() -> str:
    """The schema as JSON, ready for a file."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


#: Bounds that pydantic passes on in its own words where a function reads the value first.
_BOUNDS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


def _tidy(schema: Any, *, names: bool = False) -> Any:
    """The schema in the standard's words, without defaults that are whole sections (those are in attribute names).

    Args:
        names: the keys of this mapping are names of fields or definitions, not words of JSON Schema.
    """
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {name: _tidy(below) for name, below in schema.items()}
    return {
        _BOUNDS.get(word, word): _tidy(below, names=word in ("properties", "$defs"))
        for word, below in schema.items()
        if not (word == "default" and (below is None or isinstance(below, dict))) and word != "title"
    }


def _ref(name: str) -> Json:
    return {"$ref": REF.format(model=name)}


def _preset(known: dict[str, str]) -> Json:
    """A name out of those known, each with what it is."""
    return {"oneOf": [{"const": name, "description": about} for name, about in known.items()]}


def _service(properties: Json, definitions: Json) -> None:
    """`service: checkout`, or the fields with `preset: checkout` among them."""
    preset = _preset(services())
    definitions[Service.__name__]["properties"]["preset"] = preset
    about = properties["service"].get("description", "")
    properties["service"] = {"description": about, "anyOf": [preset, _ref(Service.__name__)]}


def _steps(definitions: Json) -> None:
    """`steps: classic-30`, `steps: {preset: classic-30}`, or the steps."""
    fields = definitions[CanaryWords.__name__]["properties"]
    preset = _preset({name: schedule.about for name, schedule in schedules().items()})
    named = {"type": "object", "properties": {"preset": preset}, "required": ["preset"], "additionalProperties": False}
    fields["steps"] = {"anyOf": [preset, named, fields["steps"]]}
