"""Conditions as trees: the part of expr-lang that conditions of AnalysisTemplates are written in, by our own parser.

`a < b < c` is `a < b && b < c`, as there (`parser/parser.go`).
"""

from __future__ import annotations

import difflib

from strategies.metrics.conditions.grammar import (
    ALONE,
    BINARY,
    CONSTANTS,
    FUNCTIONS,
    MAX_DEPTH,
    MAX_HEIGHT,
    MAX_PREDICATES,
    NEGATED,
    ORDERED,
    PREDICATES,
    RIGHT,
    SAME,
    UNARY,
    Node,
)
from strategies.metrics.conditions.tokens import WORDS, ConditionError, Token, tokens


def parse(text: str) -> Node:
    """The tree of a condition.

    >>> tree = parse("len(result) == 0 || result[0] < 0.05")
    >>> tree.value, [part.value for part in tree.parts]
    ('or', ['==', '<'])

    Raises:
        ConditionError: not in the language, or longer or deeper than anybody writes.
    """
    parser = _Parser(tokens(text))
    tree = parser.expression(0)
    parser.finish()
    _check_height(tree)
    return tree


def _check_height(tree: Node) -> None:
    """Refuse a tree so high that walking it would be; a long chain such as `1 + 1 + 1 …` is one."""
    row, height = [tree], 0
    while row:
        height += 1
        if height > MAX_HEIGHT:
            raise ConditionError(f"expected at most {MAX_HEIGHT} operators one after the other", tree.start, tree.end)
        row = [part for node in row for part in node.parts]


class _Parser:
    """A Pratt parser over the words of one condition."""

    def __init__(self, words: list[Token]) -> None:
        self.words = words
        self.place = 0
        self.depth = 0
        self.predicates = 0

    # -- words ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Token:
        return self.words[self.place]

    def at(self, *texts: str) -> bool:
        return self.now.kind == "operator" and self.now.text in texts

    def take(self) -> Token:
        token = self.now
        if token.kind != "end":
            self.place += 1
        return token

    def expect(self, text: str, why: str) -> Token:
        if not self.at(text):
            raise self.unexpected(f"expected {text!r} {why}")
        return self.take()

    def unexpected(self, problem: str) -> ConditionError:
        got = "the end" if self.now.kind == "end" else repr(self.now.text)
        return ConditionError(f"{problem}, got {got}", self.now.start, self.now.end)

    def finish(self) -> None:
        """Nothing may follow."""
        if self.now.kind != "end":
            raise self.unexpected("expected an operator or the end")

    # -- expressions ----------------------------------------------------------------------------------------------

    def expression(self, least: int) -> Node:
        """One expression whose operators bind at least as strongly as `least`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(f"expected at most {MAX_DEPTH} levels of nesting", self.now.start, self.now.end)
        left = self.operand()
        before = ""
        while (operator := self.binary(least)) is not None:
            negated, token = operator
            if before == "??" and token.text != "??":
                raise ConditionError(f"{token.text} and ?? need parentheses between them", token.start, token.end)
            before = token.text
            if token.text in ORDERED:
                left = self.comparisons(left, token)
                continue
            strength = BINARY[token.text]
            right = self.expression(strength if token.text in RIGHT else strength + 1)
            left = _binary(token.text, left, right)
            if negated:
                left = Node("unary", left.start, left.end, "not", (left,))
        if least == 0 and self.at("?"):
            left = self.choice(left)
        self.depth -= 1
        return left

    def binary(self, least: int) -> tuple[bool, Token] | None:
        """The next binary operator when it binds strongly enough, and whether a `not` stands before it."""
        token = self.now
        if token.kind != "operator":
            return None
        following = self.words[self.place + 1] if token.text == "not" else None
        if following is not None:
            if following.text not in NEGATED:
                raise self.unexpected("expected an operator")
            if BINARY[following.text] < least:
                return None
            self.place += 2
            return True, following
        if token.text in ("matches", "|", "let", "if", "else", ";", "::"):
            raise ConditionError(f"{token.text!r} of expr-lang is not supported", token.start, token.end)
        if BINARY.get(token.text, -1) < least:
            return None
        self.place += 1
        return False, token

    def comparisons(self, left: Node, token: Token) -> Node:
        """`a < b`, and `a < b < c` as two of them."""
        found: Node | None = None
        while True:
            right = self.expression(BINARY["<"] + 1)
            one = _binary(token.text, left, right)
            found = one if found is None else _binary("and", found, one)
            if not self.at(*ORDERED):
                return found
            left, token = right, self.take()

    def choice(self, condition: Node) -> Node:
        self.take()
        if self.at(":"):  # a ?: b
            self.take()
            yes, no = condition, self.expression(0)
        else:
            yes = self.expression(0)
            self.expect(":", "between the two answers of ?")
            no = self.expression(0)
        return Node("choice", condition.start, no.end, None, (condition, yes, no))

    # -- operands -------------------------------------------------------------------------------------------------

    def operand(self) -> Node:
        token = self.now
        if token.kind == "operator" and token.text in UNARY:
            self.take()
            below = self.expression(UNARY[token.text])
            return Node("unary", token.start, below.end, SAME.get(token.text, token.text), (below,))
        if self.at("("):
            self.take()
            inside = self.expression(0)
            end = self.expect(")", "after the part in parentheses").end
            return self.postfix(Node(inside.kind, token.start, end, inside.value, inside.parts))
        if self.at("["):
            return self.postfix(self.listed())
        if self.at("{"):
            return self.postfix(self.mapping())
        if self.at("#", "."):
            return self.postfix(self.item())
        if token.kind in ("number", "string"):
            self.take()
            return self.postfix(Node("constant", token.start, token.end, token.value))
        if token.kind == "name":
            return self.postfix(self.named())
        if token.kind == "operator" and token.text in WORDS and token.text not in BINARY:
            raise ConditionError(f"{token.text!r} of expr-lang is not supported", token.start, token.end)
        raise self.unexpected("expected a value")

    def item(self) -> Node:
        """`#`, `#index`, `.name`: the item that a predicate is asked about."""
        token = self.now
        if not self.predicates:
            raise ConditionError(f"{token.text} stands outside a predicate such as {{# < 1}}", token.start, token.end)
        if token.text == ".":
            return Node("item", token.start, token.start)
        self.take()
        if self.now.kind == "name" and self.now.start == token.end:
            name = self.take()
            if name.text != "index":
                raise ConditionError(f"unknown name '#{name.text}'; known: #, #index", token.start, name.end)
            return Node("position", token.start, name.end)
        return Node("item", token.start, token.end)

    def named(self) -> Node:
        token = self.take()
        name = token.text
        if self.at("("):
            return self.call(token)
        if name == "result":
            return Node("result", token.start, token.end)
        if name in CONSTANTS:
            return Node("constant", token.start, token.end, CONSTANTS[name])
        if name in FUNCTIONS or name in PREDICATES:
            raise ConditionError(f"expected ( after {name}", token.start, token.end)
        raise _unknown(token, ("result", *CONSTANTS), "name")

    def call(self, token: Token) -> Node:
        name = token.text
        self.take()
        if name in PREDICATES:
            return self.each(token)
        if name not in FUNCTIONS:
            raise _unknown(token, (*FUNCTIONS, *PREDICATES), "function")
        parts: list[Node] = []
        while not self.at(")"):
            if parts:
                self.expect(",", f"or ')' after an argument of {name}")
            parts.append(self.expression(0))
        end = self.take().end
        least, most = FUNCTIONS[name]
        if not least <= len(parts) <= most:
            wanted = f"{least}" if least == most else f"{least} or more"
            raise ConditionError(
                f"expected {wanted} argument{'s' if most > 1 else ''} of {name}, got {len(parts)}", token.start, end
            )
        return Node("call", token.start, end, name, tuple(parts))

    def each(self, token: Token) -> Node:
        """`all(list, {# < 1})`; the braces may be left out."""
        name = token.text
        items = self.expression(0)
        if name in ALONE and self.at(")"):
            return Node("each", token.start, self.take().end, name, (items,))
        self.expect(",", f"and a predicate in {name}")
        self.predicates += 1
        if self.predicates > MAX_PREDICATES:
            raise ConditionError(
                f"expected at most {MAX_PREDICATES} predicates inside each other", self.now.start, self.now.end
            )
        braces = self.at("{")
        if braces:
            self.take()
        predicate = self.expression(0)
        if braces:
            self.expect("}", f"after the predicate of {name}")
        self.predicates -= 1
        end = self.expect(")", f"after the predicate of {name}").end
        return Node("each", token.start, end, name, (items, predicate))

    def listed(self) -> Node:
        start = self.take().start
        parts: list[Node] = []
        while not self.at("]"):
            if parts:
                self.expect(",", "or ']' in a list")
                if self.at("]"):
                    break
            parts.append(self.expression(0))
        return Node("list", start, self.take().end, None, tuple(parts))

    def mapping(self) -> Node:
        start = self.take().start
        keys: list[str] = []
        parts: list[Node] = []
        while not self.at("}"):
            if parts:
                self.expect(",", "or '}' in a mapping")
            if self.now.kind not in ("name", "string"):
                raise self.unexpected("expected a key")
            key = self.take()
            keys.append(str(key.value) if key.kind == "string" else key.text)
            self.expect(":", "after a key")
            parts.append(self.expression(0))
        return Node("mapping", start, self.take().end, tuple(keys), tuple(parts))

    # -- what follows an operand ----------------------------------------------------------------------------------

    def postfix(self, node: Node) -> Node:
        while self.at(".", "?.", "["):
            token = self.take()
            if token.text == "[":
                node = self.brackets(node)
                continue
            name = self.take()
            if name.kind != "name" and name.text not in WORDS:
                got = "the end" if name.kind == "end" else repr(name.text)
                raise ConditionError(f"expected a name after {token.text}, got {got}", name.start, name.end)
            if self.at("("):
                raise ConditionError(f"a call of a method, .{name.text}(…), is not supported", name.start, name.end)
            node = Node("member", node.start, name.end, (name.text, token.text == "?."), (node,))
        return node

    def brackets(self, node: Node) -> Node:
        """`[i]`, `[a:b]`, `["name"]`."""
        nothing = Node("constant", self.now.start, self.now.start)
        first = nothing if self.at(":") else self.expression(0)
        if not self.at(":"):
            end = self.expect("]", "after the position").end
            return Node("index", node.start, end, None, (node, first))
        self.take()
        last = nothing if self.at("]") else self.expression(0)
        end = self.expect("]", "after the position").end
        return Node("slice", node.start, end, None, (node, first, last))


def _binary(text: str, left: Node, right: Node) -> Node:
    return Node("binary", left.start, right.end, SAME.get(text, text), (left, right))


def _unknown(token: Token, known: tuple[str, ...], what: str) -> ConditionError:
    lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(token.text.lower(), lower, n=1, cutoff=0.6)
    hint = f" did you mean {lower[near[0]]!r}?" if near else ""
    return ConditionError(f"unknown {what} {token.text!r};{hint} known: {', '.join(known)}", token.start, token.end)
