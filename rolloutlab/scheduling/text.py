"""Kubernetes objects as text: documents of YAML, or one List as JSON; the same objects give the same text."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import LiteralScalarString

Object = Mapping[str, Any]
_LINE: Final = 80  #: letters of a list that is written in one line


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
    """Texts of several lines as blocks, where YAML can hold them as such, and short lists of words in one line."""
    if isinstance(value, Mapping):
        return {name: _shown(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return _short([_shown(each) for each in value])
    if isinstance(value, str) and "\n" in value and all(letter.isprintable() or letter in "\n\t" for letter in value):
        return LiteralScalarString(value)
    return value


def _short(values: list[Any]) -> Any:
    if not all(isinstance(each, str) for each in values) or sum(map(len, values)) > _LINE:
        return values
    found = CommentedSeq(values)
    found.fa.set_flow_style()
    return found
