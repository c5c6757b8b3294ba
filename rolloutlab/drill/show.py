"""Drills as text for a terminal or a file: the verdict first, then when what happened, then what was expected."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from chaos.lags import by_kind
from chaos.results import Lag
from chaos.timeline import Moment
from rolloutlab import text
from rolloutlab.drill.record import FAIL, INCONCLUSIVE, MOMENTS, PASS, REFUSED, Check, Record
from rolloutlab.drill.summary import groups, median, values, worst
from rolloutlab.grid import Grid
from sim.intervals import Interval

if TYPE_CHECKING:
    from rolloutlab.drill.result import Drills

#: glyph and word of a verdict: the glyph is never the only signal
VERDICT_WORDS: Final = {
    PASS: "✓ PASS",
    FAIL: "✗ FAIL",
    INCONCLUSIVE: "? INCONCLUSIVE",
    REFUSED: "! REFUSED",
}
CHECK_WORDS: Final = {"holds": "✓ holds", "fails": "✗ fails", "cannot say": "? cannot say"}
#: what a table of repeats tells: column and head
TIMES: Final = {
    "detection_seconds": "detection, s",
    "rollback_seconds": "rollback, s",
    "exposure_seconds": "exposure, s",
    "bad_requests": "bad requests",
}


def text_of(result: Drills, *, assumptions: bool = False) -> str:
    """All drills of a result."""
    blocks = [drill_text(record) for record in result.drills]
    blocks += [repeats(group) for group in groups(result.drills) if len(group) > 1]
    ending = [f"Mind: {label}." for label in result.labels]
    if assumptions and result.assumed:
        ending += [f"Rests on {len(result.assumed)} assumptions:", *(f"  {line}" for line in result.assumed)]
    elif result.assumed:
        ending.append(f"Rests on {len(result.assumed)} assumptions; --assumptions lists them.")
    if result.again:
        ending.append(f"Again: {result.again}")
    return "\n\n".join(map(_safe, [*blocks, "\n".join(ending)])).rstrip()


def drill_text(record: Record) -> str:
    """One drill: verdict, reasons, timeline, faults, expectations."""
    parts = ["\n".join([heading(record), verdict_line(record), *(f"  {reason}" for reason in reasons(record))])]
    happened = record.verdict != REFUSED  # else nothing did, and only the reason is news
    lines = timeline_lines(record) if happened else []
    if lines:
        parts.append("\n".join(lines))
    if record.faults and happened:
        parts.append("\n".join(fault_line(record, number) for number in range(len(record.faults))))
    if record.lags:
        parts.append(lag_line(record))
    if record.checks:
        parts.append("\n".join(map(check_line, record.checks)))
    if record.left:
        parts.append("Left behind, `rolloutlab sweep` tries again:\n" + "\n".join(f"  {one}" for one in record.left))
    return "\n\n".join(parts)


def heading(record: Record) -> str:
    """What was drilled, where, how fast."""
    where = record.where
    parts = [record.name, f"{where.world}: {where.engine}", record.sped_up or "in real time", f"seed {where.seed}"]
    return " · ".join(parts)


def verdict_line(record: Record) -> str:
    """`✓ PASS (exit 0): …`: of a drill that shows something what happened, of another one why it does not."""
    said = what_happened(record)
    if record.verdict not in (PASS, FAIL) or not said:
        said = record.reasons[0] if record.reasons else "no reason was given"
    return f"{VERDICT_WORDS[record.verdict]} (exit {record.exit_code}): {said}"


def reasons(record: Record) -> list[str]:
    """The reasons that the verdict line does not hold; expectations have lines of their own."""
    line = verdict_line(record)
    checks = {one.reason for one in record.checks if one.holds != "fails"}
    found = [one for one in record.reasons if one not in line and one not in checks]
    happened = what_happened(record)
    return found if record.verdict in (PASS, FAIL) or not happened else [*found, happened]


def what_happened(record: Record) -> str:
    """How the rollout ended, in words with its times; empty when there was none.

    >>> from rolloutlab.drill.testing import made_up
    >>> what_happened(made_up())
    'rolled back 240 s after the first bad response; the last one of the bad revision came 1.2 s after the decision'
    """
    if not record.outcome:
        return ""
    detection, rollback = record.number("detection_seconds"), record.number("rollback_seconds")
    duration = record.number("duration_seconds")
    said = text.outcome(record.outcome)
    if math.isfinite(detection):
        said += f" {text.seconds(detection)} after the first bad response"
    elif math.isfinite(duration):
        said += f" after {text.seconds(duration)}"
    if math.isfinite(rollback):
        said += f"; the last one of the bad revision came {text.seconds(rollback)} after the decision"
    return said


def timeline_lines(record: Record) -> list[str]:
    """The moments of a drill with their intervals, and the times between them."""
    rows = list(moment_rows(record))
    if not rows:
        return []
    head = _left(("", "scenario time, s", "known to lie in", "what"))
    table = Grid(head, [], [_left(row) for row in rows], left=1)
    lines = table.fitted(None).split("\n")
    del lines[1]  # a rule under four words is more ink than they are
    spans = span_texts(record)
    return [*lines, "", "; ".join(spans) + "."] if spans else lines


def moment_rows(record: Record) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, interval and meaning of each moment, in the order of time where they are known."""
    for name, moment in record.moments().items():
        yield name, *moment_texts(moment), MOMENTS[name]


def moment_texts(moment: Moment) -> tuple[str, str]:
    """A moment and where it is known to lie; one that was not seen says until when nobody saw it.

    >>> moment_texts(Moment(238.25, 238.5)), moment_texts(Moment.never(120.0)), moment_texts(Moment(-3.0, -3.0))
    (('238.50', '[238.25, 238.50]'), ('–', 'not until 120.00'), ('−3.00', '[−3.00, −3.00]'))
    """
    if moment.censored:
        return text.NONE, f"not until {signed(moment.lo)}"
    return signed(moment.hi), f"[{signed(moment.lo)}, {signed(moment.hi)}]"


def signed(value: float) -> str:
    """Seconds with two decimals and a real minus."""
    value = round(value, 2)
    return f"{'−' if value < 0 else ''}{abs(value):,.2f}"


def span_texts(record: Record) -> list[str]:
    """Detection, rollback, exposure and recovery in words, those that apply; a promotion detects and ends nothing."""
    promoted = record.outcome == "promoted"
    spans = {
        "detection (t5 − t3)": None if promoted else record.timeline.detection,
        "rollback (t6 − t5)": None if promoted else record.timeline.rollback,
        "exposure (t6 − t3)": record.timeline.exposure,
        "user recovery (t7 − t3)": record.timeline.user_recovery,
    }
    found = []
    for name, span in spans.items():
        if span is None:
            continue
        here = span.scaled(record.speed)
        if math.isnan(here.value):
            found.append(f"{name} not within {text.seconds(here.lo)}")
        else:
            found.append(f"{name} {signed(here.value)} s [{signed(here.lo)}, {signed(here.hi)}]")
    return found


def fault_line(record: Record, number: int) -> str:
    """A fault, who put it there, and whether users felt it."""
    fault = record.faults[number]
    if not fault.injected:
        felt = "was not put in place"
    elif fault.effect_verified is None:
        felt = "no effect to be seen in traffic"
    else:
        felt = "seen in traffic" if fault.effect_verified else "not seen in traffic"
    evidence = f": {fault.evidence}" if fault.evidence else ""
    return f"fault {fault.text} ({fault.engine}), {felt}{evidence}"


def lag_line(record: Record) -> str:
    """The medians of its lags in one line, with how many there are of each.

    >>> from chaos.results import Lag
    >>> from rolloutlab.drill.testing import made_up
    >>> lag_line(made_up(lags=(Lag("ready", "canary-0", "canary", 2.0), Lag("ready", "canary-1", "canary", 3.0))))
    'lags, scenario seconds (median of n): ready 2.50 (2)'
    """
    found = by_kind(record.lags)
    told = ", ".join(f"{kind} {signed(_middle(there))} ({len(there)})" for kind, there in found.items())
    return f"lags, scenario seconds (median of n): {told.replace('_', ' ')}"


def _middle(found: Sequence[Lag]) -> float:
    return statistics.median(lag.seconds for lag in found)


def check_line(check: Check) -> str:
    """An expectation and its answer."""
    return f"{CHECK_WORDS.get(check.holds, check.holds)}: {check.reason} (because {text.one_line(check.because)})"


def repeats(group: Sequence[Record]) -> str:
    """Several drills of one strategy: verdicts, and median, interval and worst of the times."""
    head = [f"{len(group)} drills, scenario time", "median", "95 % interval", "worst", "values"]
    rows = []
    for column, name in TIMES.items():
        count = len(values(group, column))
        if count:
            rows.append([name, *interval_texts(median(group, column)), _number(worst(group, column)), str(count)])
    verdicts = {word: sum(one.verdict == word for one in group) for word in VERDICT_WORDS}
    told = ", ".join(f"{count} {word}" for word, count in verdicts.items() if count)
    table = Grid(head, [], rows).text() if rows else ""
    return f"{group[0].name}: {told}\n{table}".rstrip()


def interval_texts(value: Interval) -> tuple[str, str]:
    """A value, and its interval; bounds that so few drills cannot give are left open."""
    low = _number(value.lo) if math.isfinite(value.lo) else "?"
    high = _number(value.hi) if math.isfinite(value.hi) else "?"
    return _number(value.value), f"[{low}, {high}]"


def _number(value: float) -> str:
    return signed(value) if abs(value) < 1000 else f"{value:,.0f}"


def _left(row: tuple[str, str, str, str]) -> list[str]:
    """The row with its last column filled up: a table aligns to the right what is not in its first ones."""
    longest = max(map(len, MOMENTS.values()))
    return [*row[:-1], row[-1].ljust(longest)]


def _safe(words: str) -> str:
    return "\n".join(text.safe(line) if "\x1b[1m" not in line else line for line in words.split("\n"))
