"""Functions that make labels: `label_replace`, `label_join`, and the labels that `absent` gives its answer.

Source: prometheus promql/functions.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from strategies.metrics.promql.tree import Node, Range, Select
from strategies.metrics.promql.values import replaced
from strategies.metrics.regex import Regex
from strategies.metrics.series import NAME, Labels

LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def label_replaced(labels: Labels, target: str, template: str, source: str, pattern: Regex) -> Labels:
    """The label set with `target` set to the template, where the whole value of `source` matches; else as it was."""
    groups = pattern.groups(dict(labels).get(source, ""))
    return labels if groups is None else replaced(labels, target, expanded(template, groups, dict(pattern.names)))


def expanded(template: str, groups: Sequence[str | None], names: dict[str, int]) -> str:
    """A template with `$1`, `${1}` and `$name` filled in; a group that does not exist is empty, `$$` is a dollar.

    >>> expanded("$1-${2}x$$", ("ab", "a", "b"), {})
    'a-bx$'
    """

    def one(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        if name.isdigit() and (name == "0" or name[0] != "0"):
            number = int(name[:9])
        else:
            number = names.get(name, len(groups))
        return (groups[number] or "") if number < len(groups) else ""

    return _REFERENCE.sub(one, template)


def label_joined(labels: Labels, target: str, separator: str, sources: Sequence[str]) -> Labels:
    """The label set with `target` set to the values of the sources, joined."""
    values = dict(labels)
    return replaced(labels, target, separator.join(values.get(source, "") for source in sources))


def absent_labels(node: Node) -> Labels:
    """The labels of what is absent, as far as equality matchers of a selector say them, each once."""
    select = node.select if isinstance(node, Range) else node
    if not isinstance(select, Select):
        return ()
    seen: dict[str, str] = {}
    twice: set[str] = set()
    for matcher in select.matchers:
        if matcher.label == NAME:
            continue
        if matcher.op == "=" and matcher.label not in seen and matcher.label not in twice:
            seen[matcher.label] = matcher.value
        else:
            seen.pop(matcher.label, None)
            twice.add(matcher.label)
    return tuple(sorted((name, value) for name, value in seen.items() if value))
