"""Label patterns against Python's own engine, which reads the same syntax where both have it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.metrics.regex import MAX_INSTRUCTIONS, Regex
from strategies.metrics.regex_parse import MAX_DEPTH

ATOMS = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", "-", r"\.", "1", r"\b", "^", "$", "", "[a-c]"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda part: f"(?i:{part})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{1,}", "{0,2}?"])).map(
            lambda both: f"(?:{both[0]}){both[1]}"
        ),
    ),
    max_leaves=8,
)
VALUES = st.text(alphabet="abcA1-. \n", max_size=7)


@given(pattern=PATTERNS, value=VALUES)
@settings(max_examples=400, deadline=None)
def test_it_matches_what_python_matches(pattern: str, value: str) -> None:
    # Python's $ also matches before a last line feed, RE2's does not
    theirs = re.fullmatch(pattern.replace("$", r"\Z"), value, re.DOTALL | re.ASCII)
    assert Regex.of(pattern).matches(value) is (theirs is not None)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("(a|ab)(c|bcd)(d*)", "abcd"),
        ("(.*)-(.*)", "web-7f9c-x2"),
        ("(.*?)-(.*)", "web-7f9c-x2"),
        ("(?P<app>[a-z]+)(-[0-9a-f]{4})?", "web"),
        ("(?P<app>[a-z]+)(-[0-9a-f]{4})?", "web-7f9c"),
        ("((a)|(b))+", "ab"),
        ("(a{0,2}?)(a*)", "aaa"),
        ("a(?:b)c", "abc"),
        ("", ""),
    ],
)
def test_groups_are_those_of_the_alternative_written_first(pattern: str, value: str) -> None:
    match = re.fullmatch(pattern, value)
    assert match is not None
    ours = Regex.of(pattern).groups(value)
    assert ours is not None
    if pattern == "((a)|(b))+":  # Python forgets nothing between rounds, and neither do we
        assert ours[1] == "b"
    else:
        assert ours == (match[0], *match.groups())


@pytest.mark.parametrize(
    ("pattern", "value", "matched"),
    [
        ("(?i)get|post", "POST", True),
        ("(?i:g)et", "GET", False),
        ("[[:alpha:]]+", "abC", True),
        ("[[:^digit:]]+", "ab1", False),
        (r"[\d.]+", "1.5", True),
        (r"[^\s\d]+", "ab", True),
        (r"\Qa.b\E+", "a.bb", True),
        (r"\x41\x{42}\103", "ABC", True),
        (".*", "two\nlines", True),
        ("(?-s).*", "two\nlines", False),
        ("(?U)(a*)", "aa", True),
        ("a{,2}", "a{,2}", True),
        ("[]a]+", "]a", True),
        ("[a-]+", "a-", True),
        ("5..|4..", "404", True),
        ("5..", "5000", False),
        ("é+", "éé", True),
    ],
)
def test_re2_syntax(pattern: str, value: str, matched: bool) -> None:
    assert Regex.of(pattern).matches(value) is matched


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "a**",
        "*",
        "a{2,1}",
        "a{1001}",
        r"\pL",
        r"\8",
        "(?P<a",
        "(?P<a>)(?P<a>)",
        "(?x)a",
        "[z-a]",
        "[[:x:]]",
        "\\",
        r"\x{zz}",
        "(?=a)",
    ],
)
def test_what_is_no_pattern_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        Regex.of(pattern)


def test_no_pattern_runs_away() -> None:
    assert not Regex.of("(a+)+b").matches("a" * 200)
    assert not Regex.of("(a|a)*(a|aa)*b").matches("a" * 200)
    assert Regex.of("(?:(?:(?:){1000}){1000}){1000}").matches("")
    with pytest.raises(ValueError, match=f"more than {MAX_INSTRUCTIONS}"):
        Regex.of("((a{100}){100}){100}")
    with pytest.raises(ValueError, match="nested deeper"):
        Regex.of("(" * (MAX_DEPTH + 2) + ")" * (MAX_DEPTH + 2))
    with pytest.raises(ValueError, match="longer than"):
        Regex.of("a" * 3000)
