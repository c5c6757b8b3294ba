"""The metric catalogue: what a query asks for that nothing exports, said before the run.

`findings` names each series or label value of a query that no series has; such a query goes on with the empty vector,
as it would in production. `taken` says what was taken for granted where a query holds names of a user's own cluster.
Both read the selectors of a query, each a sequence of matchers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strategies.metrics.exported import REVISIONS, Exported, Facts, mentions, names_matched, selected
from strategies.metrics.families import Family, common, families
from strategies.metrics.series import NAME, Matcher

__all__ = ["Facts", "Family", "Finding", "common", "families", "findings", "taken"]
MOST_KNOWN: Final = 24  #: names shown of what is known
#: words in the name of a Service or a workload that make it the name of one revision
_OF_REVISION: Final = re.compile(r"canary|stable|preview|active|primary|green|blue", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a query asks for and that nothing exports (or that cannot be told from its name)."""

    problem: str
    nearest: str | None = None  #: the known name that looks most like it
    known: tuple[str, ...] = ()
    empty: bool = True  #: the selector finds nothing

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        known = f" known: {', '.join(map(_shown, self.known))}" if self.known else ""
        return f"{self.problem}{hint}{';' if known and not hint else ''}{known}"


Selector = Sequence[Matcher]


def findings(selectors: Iterable[Selector], facts: Facts) -> list[Finding]:
    """What these selectors ask for and no series has, in their order, each once.

    >>> for finding in findings([[Matcher("__name__", "=", "http_request_total")]], Facts()):
    ...     print(str(finding)[:84])
    nothing exports the series 'http_request_total'; did you mean 'http_requests_total'?
    """
    found: dict[Finding, None] = {}
    for selector in selectors:
        found |= dict.fromkeys(_of_selector(selector, facts))
    return list(found)


def taken(selectors: Iterable[Selector], facts: Facts) -> list[str]:
    """What was taken for granted: names of the user's own, and how a revision was recognised."""
    lines: dict[str, None] = {}
    for selector in selectors:
        series = [each for name in names_matched(selector) for each in facts.series[name]]
        for matcher in selector:
            text = text_of(matcher)
            own = any(matcher.label in each.own for each in series)
            if matcher.op in ("=", "=~") if own else any(_says_revision(matcher.label, each) for each in series):
                sides = {each.revision for each in series if each.found_by(matcher)}
                whose = "this service" if len(sides) == 2 else f"the {REVISIONS[min(sides, default=0)]} revision"
                if sides and (own or len(sides) == 1):
                    lines[f"metrics: {text} in a query is taken as {whose}"] = None
    return list(lines)


def text_of(matcher: Matcher) -> str:
    """A matcher as it stands in a query."""
    return f"{matcher.label}{matcher.op}{_shown(matcher.value)}"


def _shown(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z_:][\w:]*", value) else '"' + value.replace('"', r"\"") + '"'


def _says_revision(name: str, series: Exported) -> bool:
    return any(label.name == name and label.kind == "revision" for label in series.family.labels)


def _of_selector(selector: Selector, facts: Facts) -> list[Finding]:
    names = names_matched(selector)
    if not names:
        return [_no_name(selector)]
    series = [each for name in names for each in facts.series[name]]
    found = []
    for matcher in selector:
        if matcher.label == NAME:
            continue
        if not any(_could(each, matcher, facts) for each in series):
            found.append(_no_value(matcher, names[0], series, facts))
        elif _ambiguous(matcher, series):
            found.append(_one_revision(matcher))
    if not any(finding.empty for finding in found) and not _some(selected(facts, selector), selector, facts):
        asked = ", ".join(text_of(matcher) for matcher in selector if matcher.label != NAME)
        found.append(Finding(f"no series of {names[0]!r} has all of {{{asked}}}"))
    return found


def _could(series: Exported, matcher: Matcher, facts: Facts) -> bool:
    """Whether some pod's series passes one matcher; pods are numbered from 0, and how many there are nobody knows."""
    if matcher.label not in series.of_pod:
        return series.found_by(matcher)
    return any(series.found_by(matcher, facts.pod(series.revision, ordinal)) for ordinal in (*range(30), 99, 100, 250))


def _some(series: Iterable[Exported], selector: Selector, facts: Facts) -> bool:
    return any(all(_could(each, matcher, facts) for matcher in selector) for each in series)


def _ambiguous(matcher: Matcher, series: Sequence[Exported]) -> bool:
    if matcher.op not in ("=", "=~") or not _OF_REVISION.search(matcher.value):
        return False
    known = any(mentions(matcher.value, name) for each in series for name in each.services)
    return not known and any(matcher.label in each.shared for each in series)


def _one_revision(matcher: Matcher) -> Finding:
    text = text_of(matcher)
    return Finding(
        f"{text} looks like the name of one revision, and is taken as the whole service: say whose it is "
        f"(metrics.services, or metrics.labels.canary.{matcher.label})",
        empty=False,
    )


def _no_name(selector: Selector) -> Finding:
    known = tuple(sorted(families()))
    asked = [matcher for matcher in selector if matcher.label == NAME]
    if len(asked) == 1 and asked[0].op == "=":
        return Finding(f"nothing exports the series {asked[0].value!r}", _near(asked[0].value, known), known)
    return Finding(f"nothing exports a series with {', '.join(map(text_of, asked))}", None, known)


def _no_value(matcher: Matcher, name: str, series: Sequence[Exported], facts: Facts) -> Finding:
    label, value = matcher.label, matcher.value
    of_pod = any(label in each.of_pod for each in series)
    if not of_pod and all(label not in each.labels for each in series):
        known = tuple(sorted({known for each in series for known in (*each.labels, *each.of_pod)} - {NAME}))
        problem = f"no series of {name!r} has the label {label!r} ({text_of(matcher)})"
        return Finding(problem, _near(label, known), known)
    if of_pod:
        pods = [facts.pod(revision, ordinal) for revision in (0, 1) for ordinal in (0, 1)]
        known = tuple(each.labels_of(pod)[label] for each in series[:1] for pod in pods)
        return Finding(f"no series of {name!r} has {text_of(matcher)}", None, (*known, "..."))
    known = tuple(dict.fromkeys(each.labels[label] for each in series if each.labels.get(label)))
    return Finding(f"no series of {name!r} has {text_of(matcher)}", _near(value, known), known[:MOST_KNOWN])


def _near(name: str, known: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(name[:200], list(known), n=1)
    return found[0] if found and found[0] != name else None
