"""The place of a fault in a text of a file, whatever form the text has there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.errors import Place
from scenarios.pointer import WIDTH, Fault, Piece, pointed
from scenarios.yaml_nodes import parse

PLAIN = "a: 1\nq: {}\nz: 1\n"


def where(file: Path, yaml: str, fault: str) -> tuple[int, int, tuple[str, ...]]:
    """Line, column and excerpt of an error about the first place of `fault` in the text under `q`."""
    file.write_text(yaml, encoding="utf-8")
    node = parse(yaml, str(file)).child("q")
    assert node is not None
    assert isinstance(node.value, str)
    start = node.value.index(fault)
    error = pointed(Fault("bad", start, start + len(fault)), node.value, field="q", place=node.place)
    return error.line, error.column, error.excerpt


@pytest.mark.parametrize(
    ("yaml", "place", "excerpt"),
    [
        ("q: sum(XX)\n", (1, 8), ("    q: sum(XX)", "           ^^")),
        ("a: 1\nq: 'sum(XX)'  # why\n", (2, 9), ("    q: 'sum(XX)'  # why", "            ^^")),
        ('q: "sum(XX)"\n', (1, 9), ('    q: "sum(XX)"', "            ^^")),
        ("q: |\n  sum(\n    XX)\nz: 1\n", (3, 5), ("    XX)", "    ^^")),
        ("q: |-\n\n  sum(\n\n  XX)\n", (5, 3), ("    XX)", "    ^^")),
        ("q: >\n  sum(\n  by XX)\n", (3, 6), ("    by XX)", "       ^^")),
        ("q: sum(\n  by\n  XX)\n", (3, 3), ("    XX)", "    ^^")),
        ("q: |  # a comment\n  XX\n", (2, 3), ("    XX", "    ^^")),
        ("q: |\n  ä\tXX\n", (2, 5), ("    ä XX", "      ^^")),
        ("r: {q: XX}\nq: XX\n", (2, 4), ("    q: XX", "       ^^")),
        # an escape has no place of its own: the error stands where the text begins, and shows the text
        ('q: "a\\tXX"\n', (1, 4), ("    a XX", "      ^^")),
    ],
)
def test_a_fault_is_found_in_its_file(
    tmp_path: Path, yaml: str, place: tuple[int, int], excerpt: tuple[str, ...]
) -> None:
    line, column, shown = where(tmp_path / "f.yaml", yaml, "XX")
    assert ((line, column), shown) == (place, excerpt)


def test_a_long_line_is_cut_around_the_fault(tmp_path: Path) -> None:
    line, column, (text, caret) = where(tmp_path / "f.yaml", f"q: {'a' * 300}XX{'b' * 300}\n", "XX")
    assert (line, column) == (1, 304)
    assert len(text) == WIDTH + 4
    assert text[caret.index("^") : caret.rindex("^") + 1] == "XX"


def test_a_fault_behind_the_end_points_behind_the_end(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("q: sum(x\n", encoding="utf-8")
    error = pointed(Fault("open", 5, 6), "sum(x", field="q", place=Place(str(file), 1, 4))
    assert str(error) == f"{file}:1:9 q: open\n    q: sum(x\n            ^"


def test_arguments_that_were_put_in_point_to_their_placeholder(tmp_path: Path) -> None:
    raw = "a {{args.x}} b"
    file = tmp_path / "f.yaml"
    file.write_text(f"q: '{raw}'\n", encoding="utf-8")
    pieces = (Piece(0, 2, 0, 2, False), Piece(2, 9, 2, 12, True), Piece(9, 11, 12, 14, False))
    for fault, column, carets in ((Fault("", 0, 1), 5, 1), (Fault("", 4, 5), 7, 10), (Fault("", 10, 11), 18, 1), (Fault("", 0, 11), 5, 14)):  # fmt: skip
        error = pointed(fault, "a value b", field="q", place=Place(str(file), 1, 4), raw=raw, pieces=pieces)
        assert (error.column, error.excerpt[1].count("^")) == (column, carets)


@pytest.mark.parametrize("place", [None, Place("none.yaml", 3, 4), Place("", 0)])
def test_without_a_file_the_text_itself_is_shown(place: Place | None) -> None:
    error = pointed(Fault("bad", 6, 8), "one\ntwoXX", field="q", place=place)
    assert error.excerpt == ("    twoXX", "      ^^")
    assert error.place == place


@given(text=st.text(max_size=60), start=st.integers(0, 70), length=st.integers(0, 5))
def test_no_text_makes_it_crash(text: str, start: int, length: int) -> None:
    error = pointed(Fault("bad", min(start, len(text)), start + length), text, field="q", place=None)
    line, caret = error.excerpt
    assert "^" in caret
    assert line.isprintable()
