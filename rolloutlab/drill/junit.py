"""Drills as JUnit XML: a test case a drill, a failure where an expectation fails, an error where nothing was shown."""

from __future__ import annotations

from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite
from junitparser.junitparser import Properties, Property

from rolloutlab.drill.record import FAIL, PASS, Record
from rolloutlab.drill.show import timeline_lines
from rolloutlab.text import safe

#: columns that stand among the properties of a case, where they apply
COLUMNS = ("detection_seconds", "rollback_seconds", "exposure_seconds", "bad_requests", "users_exposed")


def xml(drills: Sequence[Record]) -> str:
    """The XML of some drills; times of cases are real seconds."""
    suites: dict[str, TestSuite] = {}
    for number, record in enumerate(drills):
        scenario = record.where.scenario + (f" / {record.where.variant}" if record.where.variant else "")
        suite = suites.setdefault(scenario, TestSuite(f"rolloutlab drill: {safe(scenario)}"))
        several = sum(one.name == record.name for one in drills) > 1
        suite.add_testcase(_case(record, scenario, f" #{number + 1}" if several else ""))
    document = JUnitXml("rolloutlab drill")
    for suite in suites.values():
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    content: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return content.decode()


def _case(record: Record, scenario: str, number: str) -> TestCase:
    case = TestCase(safe(record.where.strategy) + number, classname=safe(scenario), time=round(record.took_seconds, 3))
    properties = {
        "verdict": record.verdict,
        "exit_code": record.exit_code,
        "outcome": record.outcome,
        "world": record.where.world,
        "engine": record.where.engine,
        "speed": f"{record.speed:g}",
        "seed": record.where.seed,
        **{name: record.row.get(name) for name in COLUMNS},
    }
    told = Properties()  # type: ignore[no-untyped-call]
    for name, value in properties.items():
        if value is not None and value != "":
            told.add_property(Property(name, safe(str(value))))
    case.append(told)  # type: ignore[no-untyped-call]
    reason = safe(record.reasons[0] if record.reasons else record.verdict)
    everything = "\n".join(map(safe, record.reasons))
    if record.verdict == FAIL:
        case.result = [_said(Failure(reason, "verdict"), everything)]
    elif record.verdict != PASS or record.exit_code:
        case.result = [_said(Error(reason, record.verdict), everything)]
    case.system_out = "\n".join(map(safe, timeline_lines(record)))
    return case


def _said(result: Failure | Error, words: str) -> Failure | Error:
    result.text = words
    return result
