"""Tables of a terminal: aligned, as wide as it allows, harmless."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rolloutlab.grid import Grid, wide

GRID = Grid(
    ["strategy", "bad requests", "pods", "cost"],
    ["", "p50", "most", "USD"],
    [["rolling", "18,370", "16", "$580"], ["blue-green", "1,802", "20", "$120"]],
    spare=("pods", "cost"),
)


def test_numbers_are_aligned_right_and_names_left() -> None:
    assert GRID.fitted(None) == (
        "strategy     bad requests   pods   cost\n"
        "                      p50   most    USD\n"
        "───────────────────────────────────────\n"
        "rolling            18,370     16   $580\n"
        "blue-green          1,802     20   $120"
    )


def test_a_narrow_terminal_gets_fewer_columns_and_is_told() -> None:
    lines = GRID.fitted(33).splitlines()
    assert "pods" not in lines[0]
    assert "cost" in lines[0]
    assert lines[-1] == "Left out for a narrow terminal: pods."


def test_what_is_not_spare_stays() -> None:
    assert GRID.fitted(5).splitlines()[0] == "strategy     bad requests"


@given(st.integers(1, 60), st.lists(st.text(max_size=8), min_size=4, max_size=4))
def test_every_line_fits_where_it_can(width: int, names: list[str]) -> None:
    grid = Grid(GRID.head, GRID.under, [names], spare=GRID.head[1:])
    lines = grid.fitted(width).splitlines()
    least = max(wide(names[0]), len("strategy"))
    assert all(wide(line) <= max(width, least) for line in lines if not line.startswith("Left out"))


def test_names_cannot_steer_the_terminal() -> None:
    text = Grid(["\x1b]0;title\x07"], [], [["\x1b[2J"]]).fitted(None)
    assert "\x1b" not in text
    assert "\x07" not in text


def test_groups_stand_apart() -> None:
    grid = Grid(["a"], [], [["1"], ["2"], ["3"]], breaks=[2])
    assert grid.fitted(None).splitlines() == ["a", "─", "1", "2", "", "3"]
