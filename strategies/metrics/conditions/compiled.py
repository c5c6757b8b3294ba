"""Trees of conditions as Python functions of a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from strategies.metrics.conditions import functions, values
from strategies.metrics.conditions.grammar import Node
from strategies.metrics.conditions.tokens import ConditionError
from strategies.metrics.conditions.values import Nonsense

MAX_STEPS: Final = 100_000  #: items that the predicates of one evaluation may look at


class Scope:
    """What a condition is asked about, and where its predicates stand."""

    __slots__ = ("item", "number", "place", "result", "steps")

    def __init__(self, result: Any, number: Any) -> None:
        self.result = result  #: the whole answer
        self.number = number  #: what a bare `result` means
        self.item: Any = None
        self.place = 0
        self.steps = MAX_STEPS


Function: TypeAlias = Callable[[Scope], Any]

#: functions whose first argument is a list: there `result` means the whole answer
_OF_LISTS: Final = ("len", "first", "last", "mean", "median", "min", "max", "keys", "values")


def compiled(tree: Node) -> Callable[[Any, Any], bool]:
    """A function `(result, number) -> bool`; ConditionError where the condition has no answer.

    `result` is the whole answer of a provider. `number` is what a bare `result` means, one that is not asked for a
    part, a length or its items: the same as `result` for a provider that answers so, the one measured number for a
    typed query, which stands for both.
    """
    function = _compile(tree, False)

    def ask(result: Any, number: Any) -> bool:
        try:
            value = function(Scope(result, number))
        except Nonsense as error:
            raise ConditionError(str(error), tree.start, tree.end) from None
        if value.__class__ is not bool:
            raise ConditionError(f"expected true or false, got {values.type_name(value)}", tree.start, tree.end)
        return bool(value)

    return ask


def _compile(node: Node, whole: bool) -> Function:
    """The function of a node; `whole`: `result` means the whole answer here."""
    return _KINDS[node.kind](node, whole)


def _constant(node: Node, whole: bool) -> Function:
    value = node.value
    return lambda scope: value


def _result(node: Node, whole: bool) -> Function:
    return (lambda scope: scope.result) if whole else (lambda scope: scope.number)


def _item(node: Node, whole: bool) -> Function:
    return lambda scope: scope.item


def _position(node: Node, whole: bool) -> Function:
    return lambda scope: scope.place


def _list(node: Node, whole: bool) -> Function:
    parts = [_compile(part, False) for part in node.parts]
    return lambda scope: [part(scope) for part in parts]


def _mapping(node: Node, whole: bool) -> Function:
    parts = [(key, _compile(part, False)) for key, part in zip(node.value, node.parts, strict=True)]
    return lambda scope: {key: part(scope) for key, part in parts}


def _unary(node: Node, whole: bool) -> Function:
    below = _compile(node.parts[0], False)
    if node.value == "not":
        return lambda scope: not values.truth(below(scope), "!")
    sign = -1 if node.value == "-" else 1

    def signed(scope: Scope) -> Any:
        value = below(scope)
        if not values.is_number(value):
            raise Nonsense(f"{node.value} takes a number, not {values.type_name(value)}")
        return values.wrap(sign * value) if value.__class__ is int else sign * value

    return signed


def _binary(node: Node, whole: bool) -> Function:
    word, (left_node, right_node) = node.value, node.parts
    left, right = _compile(left_node, False), _compile(right_node, word == "in")
    if word == "and":
        return lambda scope: values.truth(left(scope), word) and values.truth(right(scope), word)
    if word == "or":
        return lambda scope: values.truth(left(scope), word) or values.truth(right(scope), word)
    if word == "??":

        def first_given(scope: Scope) -> Any:
            value = left(scope)
            return right(scope) if value is None else value

        return first_given
    compute = values.BINARY[word]
    return lambda scope: compute(left(scope), right(scope))


def _choice(node: Node, whole: bool) -> Function:
    condition, yes, no = (_compile(part, False) for part in node.parts)
    return lambda scope: yes(scope) if values.truth(condition(scope), "?") else no(scope)


def _index(node: Node, whole: bool) -> Function:
    of, position = _compile(node.parts[0], True), _compile(node.parts[1], False)
    return lambda scope: values.at(of(scope), position(scope))


def _slice(node: Node, whole: bool) -> Function:
    of = _compile(node.parts[0], True)
    first, last = (_compile(part, False) for part in node.parts[1:])
    return lambda scope: values.part(of(scope), first(scope), last(scope))


def _member(node: Node, whole: bool) -> Function:
    of = _compile(node.parts[0], True)
    name, optional = node.value

    def get(scope: Scope) -> Any:
        value = of(scope)
        return None if optional and value is None else values.named(value, name)

    return get


def _call(node: Node, whole: bool) -> Function:
    name = node.value
    parts = [_compile(part, name in _OF_LISTS) for part in node.parts]
    if name in ("isNil", "default"):
        return _of_the_result(name, parts)
    compute = functions.FUNCTIONS[name]
    if len(parts) == 1:
        one = parts[0]
        return lambda scope: compute(one(scope))
    return lambda scope: compute(*[part(scope) for part in parts])


def _of_the_result(name: str, parts: list[Function]) -> Function:
    """`isNil` and `default` look at the result, whatever they are given (`utils/evaluate/evaluate.go`)."""
    if name == "isNil":

        def is_nil(scope: Scope) -> bool:
            parts[0](scope)
            return scope.number is None

        return is_nil

    def default(scope: Scope) -> Any:
        parts[0](scope)
        other = parts[1](scope)
        return other if scope.number is None else scope.number

    return default


def _each(node: Node, whole: bool) -> Function:
    name = node.value
    of = _compile(node.parts[0], True)
    predicate = _compile(node.parts[1], False) if len(node.parts) == 2 else None
    finish = _EACH[name]

    def ask(scope: Scope) -> Any:
        found = values.items(of(scope), name)
        return finish(found, found if predicate is None else _answers(scope, found, predicate))

    return ask


def _answers(scope: Scope, found: list[Any], predicate: Function) -> list[Any]:
    """What a predicate says of each item."""
    scope.steps -= len(found)
    if scope.steps < 0:
        raise Nonsense(f"predicates may look at {MAX_STEPS} items at most")
    above = scope.item, scope.place
    answers = []
    for scope.place, scope.item in enumerate(found):
        answers.append(predicate(scope))
    scope.item, scope.place = above
    return answers


def _true(answers: list[Any]) -> list[bool]:
    return [values.truth(answer, "a predicate") for answer in answers]


def _find(found: list[Any], answers: list[Any]) -> Any:
    return next((item for item, answer in zip(found, _true(answers), strict=True) if answer), None)


def _filter(found: list[Any], answers: list[Any]) -> list[Any]:
    return [item for item, answer in zip(found, _true(answers), strict=True) if answer]


_EACH: Final[dict[str, Callable[[list[Any], list[Any]], Any]]] = {
    "all": lambda found, answers: all(_true(answers)),
    "any": lambda found, answers: any(_true(answers)),
    "none": lambda found, answers: not any(_true(answers)),
    "one": lambda found, answers: sum(_true(answers)) == 1,
    "count": lambda found, answers: sum(_true(answers)),
    "filter": _filter,
    "find": _find,
    "map": lambda found, answers: answers,
    "sum": lambda found, answers: functions.add_up(answers),
}

_KINDS: Final[dict[str, Callable[[Node, bool], Function]]] = {
    "constant": _constant,
    "result": _result,
    "item": _item,
    "position": _position,
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
