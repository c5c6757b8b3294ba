"""Kubernetes objects as text: documents of YAML, or one List as JSON; the same objects give the same text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString, SingleQuotedScalarString

Object = Mapping[str, Any]
_LINE: Final = 80  #: letters of a list that is written in one line
_PLAIN: Final = re.compile(r"(--?[A-Za-z]|[A-Za-z/.])([-A-Za-z0-9./_=%+@]|:(?=[A-Za-z0-9])| (?=[A-Za-z0-9]))*")
#: kubectl reads YAML 1.1, to which these are no texts
_NO_WORDS: Final = frozenset(
    {"y", "n", "yes", "no", "on", "off", "true", "false", "null", ".nan", ".inf", "infinity", "nan"}
)


def documents(objects: Sequence[Object], *, head: str = "") -> str:
    """The objects one after the other, files in them line by line.

    Args:
        head: a comment on top, without its `#`.

    >>> print(documents([{"kind": "A", "data": {"x": "1\\n2\\n"}}], head="two words"), end="")
    # two words
    kind: A
    data:
      x: |
        1
        2
    """
    yaml = YAML()
    yaml.width = 4096  # a folded line would be hard to read, and to search for
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    out.writelines(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    for number, each in enumerate(objects):
        if number:
            out.write("---\n")
        yaml.dump(_shown(each), out)
    return out.getvalue()


def one_list(objects: Sequence[Object]) -> str:
    """All of them as one object, which kubectl takes as well."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=2, ensure_ascii=False)


def _shown(value: Any) -> Any:
    """The same for a person: files as blocks of lines, short lists of words in one line, quotes where they must be."""
    if isinstance(value, Mapping):
        return {_shown(name): _shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return _short([_shown(each) for each in value])
    if not isinstance(value, str) or (_PLAIN.fullmatch(value) and value.lower() not in _NO_WORDS):
        return value
    if not all(letter.isprintable() or letter in "\n\t" for letter in value):
        return DoubleQuotedScalarString(value)  # with escapes
    return LiteralScalarString(value) if "\n" in value else SingleQuotedScalarString(value)


def _short(values: list[Any]) -> Any:
    if not all(isinstance(each, str) for each in values) or sum(map(len, values)) > _LINE:
        return values
    found = CommentedSeq(values)
    found.fa.set_flow_style()
    return found
