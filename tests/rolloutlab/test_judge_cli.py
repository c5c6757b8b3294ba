"""`rolloutlab judge`: table, JSON, page, and errors of one line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rolloutlab.cli import main
from rolloutlab.judging.show import generic
from rolloutlab.judging.words import percent, times

FAST = ("judge", "judge-5pct-low-traffic", "--look", "60s", "--runs", "64")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def run() -> Run:
    return lambda *words: CliRunner().invoke(main, [*words], prog_name="rolloutlab")


@pytest.fixture(scope="module")
def table(run: Run) -> str:
    found = run(*FAST, "--seed", "5", "--cards", "--assumptions")
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.fixture(scope="module")
def document(run: Run) -> dict:
    found = run(*FAST, "--seed", "5", "-o", "json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_first_sentence_is_about_the_scenarios_own_rule(table: str) -> None:
    assert re.search(
        r"At 11\.6 requests/s and 10 % weight your rule rate\[5m\] > 3% each 1m, limit 0 takes \d+ s on average to see "
        r"1 → 5 %, [\d.]+ times the physical limit of 117 s, and takes back .+ of good releases an hour\.",
        table,
    )


def test_the_table_names_the_limit_every_judge_and_what_it_rests_on(table: str) -> None:
    assert "no judge that keeps 1 % sees it sooner than 117 s on average (135 canary requests)" in table
    for label in (
        "yours: rate[5m] > 3%",
        "RIPr",
        "Lindon-Malek, k = 10",
        "mSPRT",
        "SPRT",
        "CUSUM",
        "z-test",
        "burn rate",
    ):
        assert label in table, label
    assert "judges look at the counts every 1m (--look)" in table
    assert "operating curve" in table
    assert "limit of any judge (mean)" in table
    assert table.rstrip().endswith("--runs 64 --seed 5 --cards --assumptions")


def test_invalid_judges_are_marked_in_words_and_signs(table: str) -> None:
    assert "✗ CUSUM, height ln(1/α)" in table
    assert "✗ takes back more good releases than allowed" in table
    assert "Do not believe" in table


def test_the_document_holds_every_number(document: dict) -> None:
    assert (document["schema"], document["command"], document["seed"]) == (1, "judge", 5)
    (bench,) = document["benches"]
    assert bench["limit_seconds"] == pytest.approx(116.7, abs=0.06)
    assert bench["verdicts"][0].startswith("At 11.6 requests/s")
    names = [one["judge"] for one in document["results"]]
    assert names == document["inputs"]["judges"]
    for card in document["results"]:
        assert [one["seconds"] for one in card["false_positives"]] == [300, 900, 3600, 86_400]
        assert all(one["lo"] <= one["share"] <= one["hi"] for one in card["false_positives"])
        assert len(card["curve"]) == 5
        assert [one["p1"] for one in card["curve"]] == sorted(one["p1"] for one in card["curve"])
        assert card["end_seconds"] == pytest.approx(sum(part["seconds"] for part in card["segments"]))
        delay = card["fault"]["delay_seconds"]
        assert delay["lo"] <= delay["mean"] <= delay["hi"]


def test_the_table_and_the_document_agree(table: str, document: dict) -> None:
    card = next(one for one in document["results"] if one["judge"] == "ripr")
    row = next(line for line in table.splitlines() if re.match(r"RIPr  .* / .* / ", line))
    assert f"{card['times_limit']['mean']:.2f}" in row
    assert f"{card['fault']['delay_seconds']['p50']:,.0f} / " in row


def test_the_head_says_where_the_day_is_looked_at_less_often(run: Run) -> None:
    found = run("judge", "judge-5pct-low-traffic", "--runs", "16", "--look", "5s", "--judge", "ripr")
    assert found.exit_code == 0, found.output
    assert "looks each 15s" in found.stdout
    assert "looks each" not in run(*FAST, "--judge", "ripr").stdout  # all of them each 60 s


def test_only_the_judges_asked_for(run: Run) -> None:
    found = run(*FAST, "--judge", "lindon_malek", "--judge", "yours", "-o", "json")
    assert [one["judge"] for one in json.loads(found.stdout)["results"]] == [
        "yours", "lindon-malek-10", "lindon-malek-100",
    ]  # fmt: skip


def test_one_judge_shows_its_whole_card(run: Run) -> None:
    found = run(*FAST, "--judge", "ripr")
    assert "operating curve" in found.stdout
    assert "mean seconds" in found.stdout


def test_several_benches_stand_beside_each_other(run: Run) -> None:
    found = run("judge", "judge-5pct-low-traffic", "judge-2pct", "--look", "60s", "--runs", "32", "--judge", "yours")
    assert "× limit (good ones taken back an hour)" in found.stdout
    assert "yours: rate[5m] > line each 1m, limit 0" in found.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["judge-5pc"], "unknown scenario 'judge-5pc'; did you mean 'judge-5pct'?"),
        (["judge-5pct", "--judge", "kayentaa"], "--judge: unknown judge 'kayentaa'"),
        (["judge-5pct", "--alpha", "0%"], "--alpha: expected a percentage above 0% and below 100%"),
        (["good"], "faults: expected error_ratio faults on the canary that begin together, or --to 5%, got no fault"),
        (["judge-5pct", "--set", "traffic.rate"], "--set: expected FIELD=VALUE"),
        (["judge-5pct", "--html", "/dev/null/x.html"], "/dev/null"),
        (["judge-5pct", "--runs", "3"], "--runs"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(run: Run, words: list[str], error: str) -> None:
    found = run("judge", *words)
    assert found.exit_code == 2
    assert error in found.stderr
    assert "Traceback" not in found.stderr
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1


class Page(HTMLParser):
    """Tags and attributes of a page; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "link", "img", "input", "hr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_needs_nothing_else_and_can_be_walked(run: Run, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    targets = [tmp_path / "deep" / name for name in ("one.html", "two.html")]
    for target in targets:
        found = run(*FAST, "--set", f"title={evil}", "--html", str(target))
        assert found.exit_code == 0, found.output
    html = targets[0].read_text(encoding="utf-8")
    assert html.replace("one.html", "two.html") == targets[1].read_text(encoding="utf-8"), "the same bytes"
    assert "<script>alert" not in html
    page = Page(html)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#"), (tag, attributes)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    assert len(page.all("svg")) == len(page.all("figure")) == 3
    assert all("scope" in attributes for attributes in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    text = re.search(r'<script type="application/json" id="rolloutlab-result">(.*?)</script>', html, re.DOTALL)
    assert text is not None
    assert json.loads(text[1])["benches"][0]["title"] == evil
    assert len(html.encode()) < 2_000_000


def test_a_terminal_gets_bold_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolloutlab.grid.bold", lambda: True)
    words = [*FAST, "--judge", "ripr"]
    found = CliRunner().invoke(main, words, prog_name="rolloutlab", color=True)
    assert "\x1b[1mjudge" in found.stdout
    assert "�" not in found.stdout


def test_words() -> None:
    assert [percent(value) for value in (0.05, 0.0123, 0.000123, 1.0)] == ["5 %", "1.2 %", "0.012 %", "100 %"]
    assert times(2.61) == "2.6 times"
    assert generic("yours: rate[5m] > 1.5% each 1m, limit 0") == "yours: rate[5m] > line each 1m, limit 0"
    assert generic("RIPr") == "RIPr"
