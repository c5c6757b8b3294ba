"""The columns of a result: one row a replication, in every world; what an expectation may speak of.

Not applicable (no fault, no decision) is null, not 0; a horizon that came first is censored and counted.
"""

from __future__ import annotations

from typing import Final

from strategies.effects import Outcome

OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)

#: Name -> what it says. `outcome` is a word of OUTCOMES; `release_bad` is true or false; all others are numbers.
COLUMNS: Final[dict[str, str]] = {
    "replication": "number of the replication, from 0; the same world in every strategy and variant",
    "release_bad": "world draw: the faults of the file are in the release",
    "severity": "world draw: factor on the intensity of every fault",
    "outcome": "how the rollout ended: promoted, rolled_back, paused or stalled",
    "decision_seconds": "from the start of the fault to the decision",
    "detection_seconds": "from the first bad response to the decision",
    "rollback_seconds": "from the decision to the last response of the bad revision",
    "exposure_seconds": "from the first bad response to the last response of the bad revision",
    "duration_seconds": "from the start of the rollout to its end",
    "failed_requests": "failed responses until the horizon, those of a healthy service included",
    "slow_requests": "responses slower than the SLO's latency until the horizon",
    "bad_requests": "responses that failed or were slow until the horizon",
    "users_exposed": "distinct users who were answered by the new revision while it was bad",
    "min_available_replicas": "fewest available pods of both revisions together",
    "peak_pods": "most pods at one time",
    "pod_hours": "pod time until the horizon, in hours",
    "infrastructure_usd": "pod hours by price",
    "extra_infrastructure_usd": "infrastructure beyond the steady state",
    "outage_usd": "failed and slow requests by price",
    "engineering_usd": "people's time by price",
    "total_usd": "infrastructure, outage and engineering",
    "error_budget_seconds": "error budget burnt, in seconds of full outage",
}
TRUTHS: Final = ("release_bad",)
NUMBERS: Final = tuple(name for name in COLUMNS if name not in ("replication", "outcome", *TRUTHS))
