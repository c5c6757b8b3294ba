"""The judges that meet on a bench: the usual rules, the sequential tests, and what the scenario itself asks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rolloutlab.judging.bench import HOUR, Bench, Rule
from rolloutlab.judging.entrant import Entrant
from rolloutlab.judging.slower import Slower
from scenarios.errors import unknown
from scenarios.units import duration_text, share_text
from strategies import limits
from strategies.judges import make
from strategies.judges.burn_rate import RECOMMENDED

WINDOW_SECONDS: Final = 300.0  #: of the usual rate[5m]
#: judges that look at the canary alone: their line, or their ratios, say what a good one is
_TOLD: Final = ("threshold", "failure_limit", "burn_rate", "sprt", "bernoulli_cusum")
_PROVEN: Final = ("ripr", "lindon_malek")
_PLANNED: Final = 5  #: looks of a group-sequential plan
_BURN: Final = RECOMMENDED[0].rate


def field(bench: Bench) -> list[Entrant]:
    """Every judge, set up for a bench: told its weight and alpha, and where it needs them p0 and p1."""
    return [*_own(bench), *_sequential(bench), *_late(bench), *_rules(bench)]


def chosen(bench: Bench, names: Sequence[str]) -> list[Entrant]:
    """Those of the field that are asked for, by their own name or by that of their kind; no name asks for all.

    Raises:
        ScenarioError: a name that nobody has.
    """
    whole = field(bench)
    known = dict.fromkeys([*(one.name for one in whole), *(one.kind for one in whole)])
    for name in names:
        if name not in known:
            raise unknown(name, known, field="--judge", what="judge")
    return [one for one in whole if not names or one.name in names or one.kind in names]


def _one(kind: str, name: str, label: str, about: str, settings: dict[str, Any], **more: Any) -> Entrant:
    return Entrant(name=name, label=label, kind=kind, about=about, judge=make(kind, **settings), **more)


def _sequential(bench: Bench) -> Iterator[Entrant]:
    """Tests that may look at any time and keep alpha all the same."""
    alpha, share = bench.alpha, bench.share
    effect = {"p0": bench.p0, "p1": bench.p1}
    yield _one(
        "ripr_oracle", "ripr-oracle", "RIPr, told both ratios", "e-test with the fault's own numbers: nobody has them",
        {"alpha": alpha, "share": share, **effect}, knows_fault=True,
    )  # fmt: skip
    yield _one("ripr", "ripr", "RIPr", "e-test that learns both ratios as it goes", {"alpha": alpha}, proven=True)
    for k in (10, 100):
        about = f"of all errors, how many fell on the canary; prior for {'large' if k == 10 else 'small'} changes"
        settings = {"alpha": alpha, "share": share, "k": float(k)}
        yield _one("lindon_malek", f"lindon-malek-{k}", f"Lindon-Malek, k = {k}", about, settings, proven=True)
    yield _one(
        "msprt", "msprt", "mSPRT, tuned to the fault", "always-valid p-value of a normal difference, after 30 s",
        {"alpha": alpha, "tau": bench.p1 - bench.p0}, knows_fault=True,
    )  # fmt: skip
    yield _one(
        "sprt", "sprt", "SPRT, told both ratios", "Wald's test of two known ratios; ignores the stable revision",
        {"alpha": alpha, **effect}, knows_baseline=True, knows_fault=True,
    )  # fmt: skip
    yield _one(
        "group_sequential", "obrien-fleming", "O'Brien-Fleming, 5 looks",
        "a planned number of looks at a z-test, sized to miss one fault in a hundred",
        {"alpha": alpha, "looks": _PLANNED, "requests": _planned(bench)},
    )  # fmt: skip


def _planned(bench: Bench) -> int:
    """Canary requests of a plan for this fault."""
    need = limits.needed_requests(bench.p0, bench.p1, share=bench.share, alpha=bench.alpha, power=0.99, sides=1)
    return max(_PLANNED, need)


def _late(bench: Bench) -> Iterator[Entrant]:
    """For faults that come later; told both ratios."""
    settings: dict[str, Any] = {"p0": bench.p0, "p1": bench.p1, "alpha": bench.alpha}
    requests = HOUR * bench.canary_per_second
    for name, label, height in (
        ("cusum", "CUSUM, height for an hour", {"horizon_requests": requests}),
        ("cusum-naive", "CUSUM, height ln(1/α)", {"height": -math.log(bench.alpha)}),
    ):
        yield _one(
            "bernoulli_cusum", name, label, "for faults that begin late; told both ratios", {**settings, **height},
            knows_baseline=True, knows_fault=True,
        )  # fmt: skip


def _rules(bench: Bench) -> Iterator[Entrant]:
    """What dashboards and alert rules ask; lines are half way between good and bad."""
    yield _one(
        "peeking_z", "peeking-z", f"z-test at {_percent(bench.alpha)}, each minute",
        "a test for one look, looked at again and again", {"alpha": bench.alpha}, evaluates_seconds=60.0,
    )  # fmt: skip
    line = float(f"{(bench.p0 + bench.p1) / 2:.3g}")
    text = f"rate[5m] > {_percent(line)}"
    for hold in (0, 60, 300):
        yield _one(
            "threshold", f"rate-for-{duration_text(hold)}", f"{text}, for {duration_text(hold)}",
            "an alert rule on the canary's error ratio", {"line": line, "for_seconds": float(hold)},
            knows_baseline=True, window_seconds=WINDOW_SECONDS, hold_seconds=float(hold), evaluates_seconds=15.0,
        )  # fmt: skip
    for every, limit in ((60, 0), (60, 3), (300, 3)):
        yield _one(
            "failure_limit", f"argo-{duration_text(every)}-limit-{limit}",
            f"{text}, Argo {duration_text(every)}, limit {limit}",
            "an AnalysisRun that counts failed measurements",
            {"line": line, "every_seconds": float(every), "failure_limit": limit},
            knows_baseline=True, window_seconds=WINDOW_SECONDS, hold_seconds=float(every * limit),
            evaluates_seconds=float(every),
        )  # fmt: skip
    if _BURN * (1 - bench.objective) < 1:  # else its first alert could never fire
        yield _one(
            "burn_rate", "burn-rate", f"SLO {_percent(bench.objective)} burn rate, pages",
            "alerts on the error budget of the whole service", {"objective": bench.objective, "pages_only": True},
            knows_baseline=True, evaluates_seconds=15.0,
        )  # fmt: skip


def _own(bench: Bench) -> Iterator[Entrant]:
    names = (f"yours-{number}" if number > 1 else "yours" for number in itertools.count(1))
    for rule, name in zip(bench.rules, names, strict=False):
        yield _yours(rule, name)
    for own, name in zip(bench.judges, names, strict=False):
        every = max(own.interval_seconds, bench.look_seconds)
        yield Entrant(
            name=name, label=f"yours: {own.judge.name} each {duration_text(every)}", kind=own.judge.name,
            judge=Slower(own.judge, every), about=f"{own.name} of the scenario", yours=True, evaluates_seconds=every,
            knows_baseline=own.judge.name in _TOLD, proven=own.judge.name in _PROVEN,
        )  # fmt: skip


def _yours(rule: Rule, name: str) -> Entrant:
    label = f"yours: rate[{duration_text(rule.window_seconds)}] > {_percent(rule.line)}"
    label += f" each {duration_text(rule.interval_seconds)}, limit {rule.failure_limit}"
    settings: dict[str, Any] = {
        "line": rule.line,
        "window_seconds": rule.covered_seconds,
        "every_seconds": rule.interval_seconds,
        "failure_limit": rule.failure_limit,
        "count": rule.count,
        "full_window": rule.full_window,
    }
    return _one(
        "failure_limit", name, label, f"{rule.name} of the scenario", settings,
        knows_baseline=True, window_seconds=rule.window_seconds if rule.full_window else 0.0,
        hold_seconds=rule.failure_limit * rule.interval_seconds, evaluates_seconds=rule.interval_seconds, yours=True,
    )  # fmt: skip


def _percent(ratio: float) -> str:
    return share_text(float(f"{ratio:.3g}"))
