"""`result.plot` draws what the cells hold, on given axes or on new ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

from rolloutlab.result import Result
from sim.results import Cell


@pytest.fixture(autouse=True)
def _closed():  # type: ignore[no-untyped-def]
    yield
    pyplot.close("all")


@pytest.mark.parametrize("name", ["weights", "errors", "detection", "bad_requests", "exceedance"])
def test_each_returns_axes_with_labels(result: Result, name: str) -> None:
    axes = getattr(result.plot, name)()
    assert isinstance(axes, Axes)
    assert axes.get_xlabel()


def test_given_axes_are_used(result: Result) -> None:
    axes = pyplot.subplots()[1]
    assert result.plot.detection(ax=axes) is axes


def test_detection_is_a_share_of_all_replications(cell: Callable[..., Cell], result_of: Callable[..., Result]) -> None:
    axes = result_of([cell("canary", stopped=0.75), cell("rolling", stopped=0.0)]).plot.detection()
    ends = {str(line.get_label()): float(np.asarray(line.get_ydata())[-1]) for line in axes.get_lines()}
    assert ends == {"canary": 0.75, "rolling (never)": 0.0}


def test_strategies_differ_by_more_than_colour(result: Result) -> None:
    lines = result.plot.detection().get_lines()[:3]
    assert len({line.get_color() for line in lines}) == 3
    assert len({line.get_linestyle() for line in lines}) == 3


def test_an_unknown_column_is_refused_with_the_known_ones(result: Result) -> None:
    with pytest.raises(ValueError, match="expected one of .*total_usd.*, got 'cost'"):
        result.plot.exceedance("cost")
