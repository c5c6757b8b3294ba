"""Every function of a query, by its name: what it does with its arguments.

Source: prometheus promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import numpy as np

from strategies.metrics.promql import over_time
from strategies.metrics.promql.aggregate import ordered
from strategies.metrics.promql.elementwise import FUNCTIONS as OF_NUMBERS
from strategies.metrics.promql.elementwise import clamped, rounded
from strategies.metrics.promql.histogram import histogram_quantile
from strategies.metrics.promql.relabel import absent_labels, label_joined, label_replaced
from strategies.metrics.promql.tree import Call, Select, Text
from strategies.metrics.promql.values import Table, anywhere, without_name
from strategies.metrics.regex import Regex
from strategies.metrics.series import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from strategies.metrics.promql.evaluate import Evaluation

Function: TypeAlias = "Callable[[Evaluation, Call, IntArray], FloatArray | Table]"


def _of_window(name: str, run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    """A function of a range vector that may have numbers beside it."""
    samples = run.samples(call.args[-1 if name == "quantile_over_time" else 0], at_ms)
    if name == "quantile_over_time":
        found = over_time.quantile(samples, run.number(call.args[0], at_ms))
    elif name == "predict_linear":
        seconds = run.number(call.args[1], at_ms)
        found = over_time.predicted(samples, at_ms.astype(np.float64), seconds)
    elif name in over_time.BY_RULES:
        found = over_time.BY_RULES[name](samples, run.rules)
    else:
        found = over_time.PLAIN[name](samples)
    values, kept = found
    labels = samples.labels
    if name != "last_over_time":
        labels = tuple(without_name(key) for key in labels)
    return run.relabelled(labels, values, kept, call.place)


def _of_numbers(name: str, run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    table = run.table(call.args[0], at_ms)
    return run.renamed(table, OF_NUMBERS[name](table.values), call.place)


def _round(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    table = run.table(call.args[0], at_ms)
    nearest = run.number(call.args[1], at_ms) if len(call.args) > 1 else np.ones(at_ms.shape)
    return run.renamed(table, rounded(table.values, nearest), call.place)


def _clamp(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    """`clamp`, `clamp_min` and `clamp_max`; bounds the wrong way round keep nothing."""
    table = run.table(call.args[0], at_ms)
    least, most = np.full(at_ms.shape, -np.inf), np.full(at_ms.shape, np.inf)
    if call.name != "clamp_max":
        least = run.number(call.args[1], at_ms)
    if call.name != "clamp_min":
        most = run.number(call.args[-1], at_ms)
    result = run.renamed(table, clamped(table.values, least, most), call.place)
    return Table(result.labels, result.values, result.kept & ~(most < least))


def _time(run: Evaluation, call: Call, at_ms: IntArray) -> FloatArray:
    return at_ms / 1000


def _vector(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    value = run.number(call.args[0], at_ms)
    return Table(((),), value[None], np.ones((1, len(value)), dtype=np.bool_))


def _scalar(run: Evaluation, call: Call, at_ms: IntArray) -> FloatArray:
    """The value of the only series; NaN when there is none or more than one."""
    table = run.table(call.args[0], at_ms)
    value = np.full(at_ms.shape, np.nan)
    for row, there in zip(table.values, table.kept, strict=True):
        value = np.where(there, row, value)
    return np.where(table.kept.sum(axis=0) == 1, value, np.nan)


def _absent(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    kept = run.table(call.args[0], at_ms).kept
    return _nothing_there(call, ~anywhere(kept))


def _absent_over_time(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    inside = run.samples(call.args[0], at_ms).inside
    return _nothing_there(call, ~anywhere(anywhere(inside)))


def _nothing_there(call: Call, absent: BoolArray) -> Table:
    return Table((absent_labels(call.args[0]),), np.ones((1, len(absent))), absent[None])


def _timestamp(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    """The time of each sample that a selector finds; of anything else, the time of evaluation.

    Of a selector with `@`, Prometheus reads samples up to the time less the offset but looks back from the time itself
    (promql/engine.go rangeEvalTimestampFunctionOverVectorSelector), so a negative offset does nothing; nor here.
    """
    argument = call.args[0]
    if isinstance(argument, Select):
        late_ms = 0
        if argument.at is not None:
            late_ms = max(0, argument.offset_ms)
            argument = replace(argument, offset_ms=late_ms)
        table, times = run.instant(argument, at_ms, run.rules.lookback_ms - late_ms)
    else:
        table = run.table(argument, at_ms)
        times = np.broadcast_to(at_ms, table.values.shape)
    return run.renamed(table, times / 1000, call.place)


def _label_replace(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    table = run.table(call.args[0], at_ms)
    target, template, source, pattern = (cast("Text", arg).value for arg in call.args[1:])
    regex = Regex.of(pattern)
    labels = [label_replaced(key, target, template, source, regex) for key in table.labels]
    return run.relabelled(labels, table.values, table.kept, call.place)


def _label_join(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    table = run.table(call.args[0], at_ms)
    target, separator, *sources = (cast("Text", arg).value for arg in call.args[1:])
    labels = [label_joined(key, target, separator, sources) for key in table.labels]
    return run.relabelled(labels, table.values, table.kept, call.place)


def _sort(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    return ordered(run.table(call.args[0], at_ms), largest=call.name == "sort_desc")


def _histogram_quantile(run: Evaluation, call: Call, at_ms: IntArray) -> Table:
    q = run.number(call.args[0], at_ms)
    return histogram_quantile(q, run.table(call.args[1], at_ms), merge_close=run.rules.merge_close)


_WINDOWED: Final = (*over_time.PLAIN, *over_time.BY_RULES, "predict_linear", "quantile_over_time")

FUNCTIONS: Final[dict[str, Function]] = {
    **{name: partial(_of_window, name) for name in _WINDOWED},
    **{name: partial(_of_numbers, name) for name in OF_NUMBERS},
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "round": _round,
    "scalar": _scalar,
    "sort": _sort,
    "sort_desc": _sort,
    "time": _time,
    "timestamp": _timestamp,
    "vector": _vector,
}
