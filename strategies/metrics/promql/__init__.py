"""PromQL over scraped series, in many replications at once, by the rules of Prometheus.

`parse` reads a query, `evaluate` works it out over a `Source`. Everything is numpy with a leading axis of replications,
each evaluated at its own time; a replication gets the same bits alone and among others.

Not supported, and refused when it is read: native histograms and their functions, functions that Prometheus calls
experimental, trigonometry, functions of the calendar, `or` between matchers, `fill`.
"""

from __future__ import annotations

from strategies.metrics.promql.answers import Scalar, Vector, evaluate, evaluate_each
from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.inspect import Selector, fixed_at, longest_ms, names_of
from strategies.metrics.promql.parse import parse
from strategies.metrics.promql.rules import PROMETHEUS_2_42, PROMETHEUS_3, Rules
from strategies.metrics.promql.tree import Query

__all__ = [
    "PROMETHEUS_2_42",
    "PROMETHEUS_3",
    "PromqlError",
    "Query",
    "Rules",
    "Scalar",
    "Selector",
    "Vector",
    "evaluate",
    "evaluate_each",
    "fixed_at",
    "longest_ms",
    "names_of",
    "parse",
]
