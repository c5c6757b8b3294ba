"""What a condition cannot mean for a kind of result, found before it is asked, as expr-lang's type checker does.

Argo compiles a condition against the result at hand, so a part that cannot be meant is an error at every measurement,
even where `&&`, `||` or `?:` would never come to it: `len(result) == 0 || result < 1` of a vector is one.

Kinds are `any`, `nil`, `bool`, `int`, `float`, `text`, `mapping`, and `[]KIND` for a list; `value` is one measured
number, which is a list of one where a list is asked for. Source: expr-lang `checker/checker.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from strategies.metrics.conditions.grammar import Node
from strategies.metrics.conditions.tokens import ConditionError

_NUMBERS: Final = ("int", "float")
_TEXT_OPERATORS: Final = ("contains", "startsWith", "endsWith")
_SAID: Final = {
    "nil": "nil",
    "bool": "a truth value",
    "int": "a number",
    "float": "a number",
    "text": "a text",
    "mapping": "a mapping",
}


def kind_of(result: Any) -> str:
    """The kind of an answer as JSON has it; parts of lists and mappings are `any`.

    >>> kind_of(0.5), kind_of([1.0]), kind_of({"a": 1})
    ('float', '[]any', 'mapping')
    """
    if result is None:
        return "nil"
    names = {bool: "bool", int: "float", float: "float", str: "text", list: "[]any", dict: "mapping"}
    return names.get(type(result), "any")


def fault_of(tree: Node, result: str) -> ConditionError | None:
    """Why a condition has no answer for any result of this kind; None: it may have one."""
    try:
        kind = _Checker(result).kind(tree)
    except ConditionError as error:
        return error
    if kind not in ("bool", "any"):
        return ConditionError(f"expected true or false, got {_said(kind)}", tree.start, tree.end)
    return None


def _said(kind: str) -> str:
    return "a list" if kind.startswith("[]") else _SAID.get(kind, kind)


class _Checker:
    """Walks a tree once; `items` are the kinds of what `#` stands for."""

    def __init__(self, result: str) -> None:
        self.result = result
        self.items: list[str] = []

    def kind(self, node: Node, *, whole: bool = False) -> str:
        """The kind of a part; `whole`: where a list may be asked for."""
        if node.kind == "result" and self.result == "value":
            return "[]float" if whole else "float"
        return _RULES[node.kind](self, node)

    def want(self, node: Node, wanted: tuple[str, ...], what: str) -> str:
        """The kind of a part, which must be one of those (or any)."""
        kind = self.kind(node, whole="list" in wanted)
        if kind != "any" and kind not in wanted and not ("list" in wanted and kind.startswith("[]")):
            raise ConditionError(f"{what}, not {_said(kind)}", node.start, node.end)
        return kind


def _constant(checker: _Checker, node: Node) -> str:
    names = {type(None): "nil", bool: "bool", int: "int", float: "float", str: "text"}
    return names[type(node.value)]


def _list(checker: _Checker, node: Node) -> str:
    kinds = {checker.kind(part) for part in node.parts}
    return f"[]{kinds.pop()}" if len(kinds) == 1 else "[]any"


def _mapping(checker: _Checker, node: Node) -> str:
    for part in node.parts:
        checker.kind(part)
    return "mapping"


def _unary(checker: _Checker, node: Node) -> str:
    if node.value == "not":
        return checker.want(node.parts[0], ("bool",), "! takes true or false") and "bool"
    return checker.want(node.parts[0], _NUMBERS, f"{node.value} takes a number")


def _binary(checker: _Checker, node: Node) -> str:
    word, (left, right) = node.value, node.parts
    if word in ("and", "or"):
        checker.want(left, ("bool",), f"{word} takes true or false")
        checker.want(right, ("bool",), f"{word} takes true or false")
        return "bool"
    one, other = checker.kind(left), checker.kind(right, whole=word == "in")
    if word == "??":
        return other if one == "nil" else one if one == other else "any"
    if word == "in":
        return _within(node, one, other)
    if word == "..":
        _both(node, one, other, ("int",), ".. takes two whole numbers")
        return "[]int"
    if word in ("==", "!="):
        if not _comparable(one, other):
            raise ConditionError(f"{word} of {_said(one)} and {_said(other)}", node.start, node.end)
        return "bool"
    if word in _TEXT_OPERATORS:
        _both(node, one, other, ("text",), f"{word} takes two texts")
        return "bool"
    if word in ("<", ">", "<=", ">="):
        _alike(node, one, other, f"{word} compares two numbers or two texts")
        return "bool"
    return _arithmetic(node, one, other)


def _arithmetic(node: Node, one: str, other: str) -> str:
    word = node.value
    if word == "+":
        _alike(node, one, other, "+ takes two numbers or two texts")
    elif word == "%":
        _both(node, one, other, ("int",), "% takes two whole numbers")
        return "int"
    else:
        _both(node, one, other, _NUMBERS, f"{word} takes two numbers")
    if "any" in (one, other):
        return "any"
    if one == other == "text":
        return "text"
    return "float" if word in ("/", "**") or "float" in (one, other) else "int"


def _both(node: Node, one: str, other: str, wanted: tuple[str, ...], what: str) -> None:
    for kind in (one, other):
        if kind != "any" and kind not in wanted:
            raise ConditionError(f"{what}, not {_said(one)} and {_said(other)}", node.start, node.end)


def _alike(node: Node, one: str, other: str, what: str) -> None:
    """Two numbers or two texts."""
    known = [kind for kind in (one, other) if kind != "any"]
    if all(kind in _NUMBERS for kind in known) or all(kind == "text" for kind in known):
        return
    raise ConditionError(f"{what}, not {_said(one)} and {_said(other)}", node.start, node.end)


def _comparable(one: str, other: str) -> bool:
    if one == other or {one, other} & {"any", "nil"}:
        return True
    return (one in _NUMBERS and other in _NUMBERS) or (one.startswith("[]") and other.startswith("[]"))


def _within(node: Node, one: str, other: str) -> str:
    if other in ("any", "nil"):
        return "bool"
    if other == "mapping":
        if one not in ("text", "any"):
            raise ConditionError(f"the key of a mapping is a text, not {_said(one)}", node.start, node.end)
    elif not other.startswith("[]"):
        raise ConditionError(f"in looks into a list or a mapping, not into {_said(other)}", node.start, node.end)
    elif not _comparable(one, other[2:]):
        raise ConditionError(f"{_said(one)} is never in a list of another kind", node.start, node.end)
    return "bool"


def _choice(checker: _Checker, node: Node) -> str:
    checker.want(node.parts[0], ("bool",), "? takes true or false")
    yes, no = checker.kind(node.parts[1]), checker.kind(node.parts[2])
    return yes if yes == no else "any"


def _index(checker: _Checker, node: Node) -> str:
    kind = checker.want(node.parts[0], ("list", "mapping"), "a position or a key is of a list or a mapping")
    if kind.startswith("[]"):
        checker.want(node.parts[1], ("int",), "the position in a list is a whole number")
        return kind[2:]
    if kind == "mapping":
        checker.want(node.parts[1], ("text",), "the key of a mapping is a text")
    else:
        checker.kind(node.parts[1])
    return "any"


def _slice(checker: _Checker, node: Node) -> str:
    kind = checker.want(node.parts[0], ("list", "text"), "a part is of a list or a text")
    for part in node.parts[1:]:
        checker.want(part, ("int", "nil"), "a position is a whole number")
    return kind


def _member(checker: _Checker, node: Node) -> str:
    name, _ = node.value
    checker.want(node.parts[0], ("mapping", "nil") if node.value[1] else ("mapping",), f".{name} is of a mapping")
    return "any"


def _call(checker: _Checker, node: Node) -> str:
    name = node.value
    wanted, gives = _CALLS[name]
    for part in node.parts:
        if wanted is None:
            checker.kind(part)
        else:
            kind = checker.want(part, wanted, f"{name} takes {_WANTED[name]}")
            if (
                name in ("min", "max", "mean", "median")
                and kind.startswith("[]")
                and kind[2:] not in (*_NUMBERS, "any")
            ):
                raise ConditionError(f"{name} takes numbers, not {_said(kind[2:])}", part.start, part.end)
    return gives


def _each(checker: _Checker, node: Node) -> str:
    name = node.value
    kind = checker.want(node.parts[0], ("list",), f"{name} takes a list")
    item = kind[2:] if kind.startswith("[]") else "any"
    answer = item
    if len(node.parts) == 2:
        checker.items.append(item)
        truth = name not in ("map", "sum")
        answer = (
            checker.want(node.parts[1], ("bool",), "a predicate takes true or false")
            if truth
            else checker.kind(node.parts[1])
        )
        checker.items.pop()
    gives = {"count": "int", "filter": f"[]{item}", "find": item, "map": f"[]{answer}", "sum": answer}
    return gives.get(name, "bool")


_ANY: Final = None
_OF_NUMBER: Final = (_NUMBERS, "float")
_CALLS: Final[dict[str, tuple[tuple[str, ...] | None, str]]] = {
    "asFloat": (_ANY, "float"),
    "asInt": (_ANY, "int"),
    "isNaN": (_NUMBERS, "bool"),
    "isInf": (_NUMBERS, "bool"),
    "isNil": (_ANY, "bool"),
    "default": (_ANY, "any"),
    "len": (("list", "text", "mapping"), "int"),
    "abs": (_NUMBERS, "any"),
    "ceil": _OF_NUMBER,
    "floor": _OF_NUMBER,
    "round": _OF_NUMBER,
    "int": ((*_NUMBERS, "text"), "int"),
    "float": ((*_NUMBERS, "text"), "float"),
    "string": (_ANY, "text"),
    "lower": (("text",), "text"),
    "upper": (("text",), "text"),
    "first": (("list",), "any"),
    "last": (("list",), "any"),
    "keys": (("mapping",), "[]any"),
    "values": (("mapping",), "[]any"),
    "min": ((*_NUMBERS, "list"), "any"),
    "max": ((*_NUMBERS, "list"), "any"),
    "mean": ((*_NUMBERS, "list"), "float"),
    "median": ((*_NUMBERS, "list"), "float"),
}
_WANTED: Final = {
    **dict.fromkeys(("isNaN", "isInf", "abs", "ceil", "floor", "round"), "a number"),
    **dict.fromkeys(("int", "float"), "a number or a text"),
    **dict.fromkeys(("min", "max", "mean", "median"), "numbers or lists of them"),
    **dict.fromkeys(("first", "last"), "a list"),
    **dict.fromkeys(("keys", "values"), "a mapping"),
    **dict.fromkeys(("lower", "upper"), "a text"),
    "len": "a list, a text or a mapping",
}

_RULES: Final[dict[str, Callable[[_Checker, Node], str]]] = {
    "constant": _constant,
    "result": lambda checker, node: checker.result,
    "item": lambda checker, node: checker.items[-1],
    "position": lambda checker, node: "int",
    "list": _list,
    "mapping": _mapping,
    "unary": _unary,
    "binary": _binary,
    "choice": _choice,
    "index": _index,
    "slice": _slice,
    "member": _member,
    "call": _call,
    "each": _each,
}
