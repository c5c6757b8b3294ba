"""The load generator and its traffic log: `python -m chaos.load --config FILE`, and what reads the log."""

from __future__ import annotations

from chaos.load.config import ConfigError, Load, Users
from chaos.load.log import REASONS, REVISIONS, TrafficLog, TrafficLogError, failed, latency_seconds, summary, write_csv

__all__ = [
    "ConfigError",
    "Load",
    "REASONS",
    "REVISIONS",
    "TrafficLog",
    "TrafficLogError",
    "Users",
    "failed",
    "latency_seconds",
    "summary",
    "write_csv",
]
