"""YAML as nodes: values of the core schema, exact places, and bounds that hold before anything is built."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.errors import ScenarioError, ScenarioErrors
from scenarios.yaml_nodes import MAX_NODES, parse

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
KEYS = st.text(max_size=80).filter(lambda text: text != "<<")
TREES = st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(KEYS, below), max_leaves=20)


@given(st.dictionaries(KEYS, TREES))
def test_json_is_read_as_it_is(tree: dict[str, object]) -> None:
    # YAML 1.2 holds JSON, with keys of up to 1,024 characters; ensure_ascii escapes what YAML does not allow raw
    assert parse(json.dumps(tree), "f").plain() == tree


def test_places_are_those_of_the_text() -> None:
    root = parse("a:\n  - x: 1\n  - {y: 2}\nb: 5%\n", "f.yaml")
    assert str(root.nearest(("a", 0, "x"))[0].place) == "f.yaml:2:8"
    assert str(root.nearest(("a", 1, "y"))[0].place) == "f.yaml:3:9"
    assert str(root.nearest(("a",))[0].place) == "f.yaml:1:1"
    assert str(root.nearest(("b",))[0].place) == "f.yaml:4:4"
    assert root.nearest(("b", "c", "d"))[1] == 1


def test_words_of_yaml_1_1_are_texts() -> None:
    assert parse("on: yes\nday: 2025-01-31\nmode: 0644\ntext: 'true'", "f").plain() == {
        "on": "yes",
        "day": "2025-01-31",
        "mode": 644,
        "text": "true",
    }


def test_a_merge_key_gives_what_the_mapping_does_not() -> None:
    assert parse("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: [*a, {z: 4}]}", "f").plain()["b"] == {"x": 3, "y": 2}
    assert parse("a: &a {x: 1}\nc: {<<: [*a, {x: 2, z: 4}]}", "f").plain()["c"] == {"x": 1, "z": 4}


def test_every_duplicate_key_is_reported() -> None:
    with pytest.raises(ScenarioErrors) as caught:
        parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "f.yaml")
    assert str(caught.value) == (
        "f.yaml:4:3 c: duplicate key 'c', first given in line 3\nf.yaml:5:1 a: duplicate key 'a', first given in line 1"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: !!python/object x", "f:1:4: expected plain YAML, got the tag tag:yaml.org,2002:python/object"),
        ("a: 1\n---\nb: 1", "f:2:1: expected one YAML document, got several"),
        ("", "f: expected a mapping, got an empty file"),
        ("# only a comment\n", "f: expected a mapping, got an empty file"),
        ("a: *b", "f:1:4: expected an alias of a finished value, got *b"),
        ("a: &a [*a]", "f:1:8: expected an alias of a finished value, got *a"),
        ("? [a]\n: b", "f:1:3: expected a name as key, got a mapping or list"),
        ("a:\n\t- b", "f:2:1: not YAML: found character '\\t' that cannot start any token"),
        ("a: [1", "f:1:6: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: {<<: 5}", "f:1:5: expected a mapping or a list of mappings after <<"),
        ('a: "\\ud800"', "f:1:4: expected text, got half of a surrogate pair"),
        ("[" * 100 + "]" * 100, "f:1:41: expected at most 40 levels of nesting, got more"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text, "f")
    assert str(caught.value) == error


def test_bytes_that_are_not_utf_8_name_the_line() -> None:
    with pytest.raises(ScenarioError, match=r"^f:2:1: expected UTF-8 text$"):
        parse(b"a: 1\nb: \xff\n", "f")


def test_a_billion_laughs_are_counted_not_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    with pytest.raises(ScenarioError, match=rf"expected at most {MAX_NODES} values \(aliases expanded\), got more"):
        parse("\n".join(lines), "f")
