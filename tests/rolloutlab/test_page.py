"""The page: complete without a network, safe, accessible, the same bytes for the same result."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from rolloutlab.report.page import page
from rolloutlab.result import Result
from sim.results import Cell

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def html(result: Result) -> str:
    return page(result)


def test_the_same_result_gives_the_same_bytes(result: Result, html: str) -> None:
    assert page(result) == html


def test_it_is_small_and_asks_nobody(html: str) -> None:
    assert len(html.encode()) < 2_000_000
    found = Page(html)
    for tag, attributes in found.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#"), (tag, attributes)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    assert "javascript:" not in html


def test_its_policy_allows_no_script_and_no_request(html: str) -> None:
    found = Page(html)
    policy = next(meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert [script.get("type") for script in found.all("script")] == ["application/json"]
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_references_exist(html: str) -> None:
    found = Page(html)
    ids = Counter(attributes["id"] for _, attributes in found.tags if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    used = {one for _, attributes in found.tags for one in (attributes.get("aria-labelledby") or "").split()}
    used |= {(attributes.get("xlink:href") or "#")[1:] for _, attributes in found.tags} - {""}
    used |= set(re.findall(r"url\(#([^)]+)\)", html))
    assert used <= set(ids)


def test_every_chart_has_a_name_a_description_and_its_numbers(html: str) -> None:
    found = Page(html)
    charts = found.all("svg")
    assert len(charts) == 5  # detection, harm, two worlds over time, cost
    for chart in charts:
        assert chart["role"] == "img"
        assert len((chart["aria-labelledby"] or "").split()) == 2
    assert len(found.all("figure")) == len(charts)
    assert len(found.all("details")) == len(charts) + 1  # and the assumptions
    descriptions = [text for tag, text in found.texts if tag == "desc"]
    assert len(descriptions) == len(charts)
    assert all(re.search(r"\d", text) for text in descriptions)


def test_headings_and_tables_can_be_walked(html: str) -> None:
    found = Page(html)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert found.all("html")[0]["lang"] == "en"
    assert all("scope" in attributes for attributes in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table"))


def test_all_numbers_are_inside_as_json(result: Result, html: str) -> None:
    text = re.search(r'<script type="application/json" id="rolloutlab-result">(.*?)</script>', html, re.DOTALL)
    assert text is not None
    assert json.loads(text[1]) == json.loads(result.json())


def test_names_of_the_input_cannot_break_out(cell: Callable[..., Cell], result_of: Callable[..., Result]) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    found = result_of([cell(evil, evil), cell("rolling", evil, number=1)], again=evil, title=evil)
    html = page(found)
    assert "<script>alert" not in html
    assert "<img" not in html
    Page(html)
    assert evil not in found._repr_html_()


def test_the_decision_stands_on_top(html: str) -> None:
    text = html[html.index("<header>") : html.index("</header>")]
    assert "Choose canary" in text


def test_nothing_at_all_has_no_page(result_of: Callable[..., Result]) -> None:
    with pytest.raises(ValueError, match="at least one replication"):
        page(result_of([]))


def test_a_single_scenario_has_no_matrix(cell: Callable[..., Cell], result_of: Callable[..., Result]) -> None:
    html = page(result_of([cell("canary"), cell("rolling", stopped=0.0)], title=""))
    assert "Who stops what" not in html
    assert "<h1>Title of errors</h1>" in html
