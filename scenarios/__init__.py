"""Which question: one file, one question about one release of one service; typed data and its words, no engine."""

from __future__ import annotations

from scenarios.errors import Place, ScenarioError, ScenarioErrors
from scenarios.load import Loaded, load_scenario
from scenarios.schema import Scenario
from scenarios.trace import Trace, read_trace

__all__ = [
    "Loaded",
    "Place",
    "Scenario",
    "ScenarioError",
    "ScenarioErrors",
    "Trace",
    "load_scenario",
    "read_trace",
]
