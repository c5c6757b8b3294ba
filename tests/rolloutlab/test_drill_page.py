"""The pages of drills and calibrations: whole without a network, safe, accessible; and drills as text."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from chaos.evidence import Bin, Counts
from chaos.timeline import Moment
from rolloutlab.drill import show
from rolloutlab.drill.record import Record
from rolloutlab.drill.result import Drills
from rolloutlab.drill.testing import made_up
from rolloutlab.report import drill_charts, drill_plots
from rolloutlab.report.drill_page import fragment, page

EVIL = '<script>alert("x")</script>&\'\x1b[31m'


class Page(HTMLParser):
    """Tags and attributes; fails on tags that do not match."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def check_page(html: str) -> Page:
    """What every page of ours keeps."""
    found = Page(html)
    for tag, attributes in found.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#"), (tag, attributes)
    assert not re.search(r"url\((?!#)", html)
    policy = next(one["content"] for one in found.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert [one.get("type") for one in found.all("script")] == ["application/json"]
    ids = Counter(one["id"] for _, one in found.tags if one.get("id"))
    assert not [name for name, count in ids.items() if count > 1]
    for drawing in found.all("svg"):
        assert drawing["role"] == "img"
        labels = (drawing["aria-labelledby"] or "").split()
        assert len(labels) == 2
        assert all(name in ids for name in labels)
    assert found.all("html")[0]["lang"] == "en"
    assert len(found.all("h1")) == 1
    assert html.lstrip().startswith("<!doctype html>")
    assert len(html.encode()) < 2_000_000
    return found


def test_the_page_of_a_drill_is_whole_and_safe() -> None:
    html = page(Drills([made_up()], again="rolloutlab drill errors-5pct"))
    check_page(html)
    assert page(Drills([made_up()], again="rolloutlab drill errors-5pct")) == html, "the same bytes"
    for words in ("✓ PASS (exit 0)", "rolled back 240 s after the first bad response", "t6", "[286.10, 286.20]",
                  "seen in traffic", "? cannot say", "sped up 20x"):  # fmt: skip
        assert words in html, words


def test_its_numbers_stand_in_it_as_json() -> None:
    html = page(Drills([made_up()]))
    found = re.search(r'<script type="application/json" id="rolloutlab-result">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    told = json.loads(found[1])
    assert told["drills"][0]["timeline"]["t5"]["scenario_seconds"] == pytest.approx([284.8, 285.0])


def test_names_from_files_can_do_nothing() -> None:
    record = made_up()
    where = dataclasses.replace(record.where, title=EVIL, strategy=EVIL, question=EVIL, facts=(EVIL,))
    evil = dataclasses.replace(
        record, where=where, reasons=(EVIL,), labels=(EVIL,), assumed=(EVIL,), left=(EVIL,), verdict="inconclusive"
    )
    html = page(Drills([evil, evil], again=EVIL))
    check_page(html)
    assert "<script>alert" not in html
    assert "<script>alert" not in fragment(Drills([evil]))
    assert "\x1b" not in show.text_of(Drills([evil], again=EVIL))


def test_a_series_has_its_numbers_and_those_that_failed_are_drawn() -> None:
    drills = [made_up(detection=200.0 + value, number=value) for value in range(20)]
    drills[17] = made_up(verdict="fail", exit_code=1, reasons=("too late",))
    html = page(Drills(drills, 20))
    check_page(html)
    assert "errors-5pct, canary, drill 18 of 20" in html
    assert "errors-5pct, canary, drill 9 of 20" not in html
    assert "16 further drills that passed are not drawn" in html
    assert "Every drill of the series" in html


def refused() -> Record:
    record = made_up(verdict="refused", exit_code=3, outcome="", reasons=("service.replicas: at most 30 here",))
    timeline = type(record.timeline)(1000.0, 20.0)
    return dataclasses.replace(
        record, timeline=timeline, row=dict.fromkeys(record.row), steps=(), traffic=(), checks=(), faults=(), load={}
    )


def test_a_drill_of_which_nothing_is_known_has_a_page_and_a_text() -> None:
    check_page(page(Drills([refused()])))
    said = show.drill_text(refused())
    assert said.split("\n")[1] == "! REFUSED (exit 3): service.replicas: at most 30 here"
    assert "t0" not in said


def test_a_page_needs_a_drill() -> None:
    with pytest.raises(ValueError, match="at least one drill"):
        page(Drills([]))
    assert "no drill" in fragment(Drills([]))


def test_the_drawing_says_its_numbers_to_those_who_cannot_see_it() -> None:
    chart = drill_charts.timeline(made_up())
    words = re.search(r"<desc[^>]*>(.*?)</desc>", str(chart.svg), re.DOTALL)
    assert words is not None
    assert "t5 at 285.00 s" in words[1]
    assert "canary&#39;s weight: 10 % at 44 s, 0 % at 286 s" in words[1]
    assert len(chart.twin.rows) <= 40
    assert chart.twin.rows[0][0] == "-60"


def test_a_share_is_drawn_only_of_enough_requests() -> None:
    """Ten requests a stretch: six stretches a point, and what is left over at the end is no point."""
    bins = tuple(
        Bin(10.0 * place, 10.0, (Counts("canary", 10, place % 2, 0),), {"canary": 0.1}, {"canary": 0.2})
        for place in range(13)
    )
    found = drill_plots.ratios(made_up(traffic=bins), "canary")
    assert found == [(30.0, 0.05), (90.0, 0.05)]


# --- text --------------------------------------------------------------------------------------------------------


def test_a_drill_as_text(golden: Callable[[str, str], None]) -> None:
    golden("drill.txt", show.text_of(Drills([made_up()], again="rolloutlab drill errors-5pct --seed 0")) + "\n")


def test_a_series_as_text(golden: Callable[[str, str], None]) -> None:
    drills = [made_up(detection=230.0 + 3 * value, rollback=1 + value / 10, number=value) for value in range(10)]
    golden("drill_series.txt", show.repeats(drills) + "\n")


def test_what_was_not_seen_says_until_when_nobody_saw_it() -> None:
    record = made_up()
    record = dataclasses.replace(record, timeline=dataclasses.replace(record.timeline, t6=Moment.never(1020.0)))
    lines = show.timeline_lines(record)
    assert any(line.startswith("t6") and "not until 400.00" in line for line in lines)
    assert "rollback (t6 − t5) not within 115 s" in lines[-1]


@pytest.mark.parametrize(
    ("verdict", "code", "begins"),
    [
        ("pass", 0, "✓ PASS (exit 0): rolled back 240 s"),
        ("fail", 1, "✗ FAIL (exit 1): rolled back 240 s"),
        ("inconclusive", 5, "? INCONCLUSIVE (exit 5): because"),
        ("inconclusive", 130, "? INCONCLUSIVE (exit 130): because"),
    ],
)
def test_the_verdict_comes_first_in_words_and_with_its_code(verdict: str, code: int, begins: str) -> None:
    record = made_up(verdict=verdict, exit_code=code, reasons=("because", "and"))
    assert show.verdict_line(record).startswith(begins)
    assert "and" in show.reasons(record)


def test_a_fault_says_who_put_it_there_and_whether_it_was_felt() -> None:
    record = made_up()
    (fault,) = record.faults
    unseen = dataclasses.replace(record, faults=(dataclasses.replace(fault, effect_verified=False),))
    absent = dataclasses.replace(record, faults=(dataclasses.replace(fault, injected=False),))
    assert "(application), seen in traffic: canary: 132" in show.fault_line(record, 0)
    assert "not seen in traffic" in show.fault_line(unseen, 0)
    assert "was not put in place" in show.fault_line(absent, 0)
