"""Arguments of AnalysisTemplates: `{{args.service}}` resolved from the Rollout, with the templates' defaults.

As Argo Rollouts does (`utils/analysis/factory.go` and `utils/template/template.go` @9f8d111d8): the Rollout's value
wins over the template's; an argument that nobody gives a value is an error. Values that exist only in a cluster
(secrets) may stand in a query that is bound by its name, but not where a number decides. The hashes of the two pod
templates are the names of the revisions, as the simulated service labels its series.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from scenarios.errors import Place, ScenarioError, dotted, unknown
from scenarios.imports.section import Section
from scenarios.pointer import Fault, Piece, pointed
from scenarios.yaml_nodes import Node
from strategies.effects import Revision

_HASHES: Final[dict[str, Revision]] = {"Latest": "canary", "Stable": "stable"}
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"metadata\.(name|namespace|uid|labels|annotations)(?:\['([^']+)'\])?")


@dataclass(slots=True)
class Arguments:
    """Resolved arguments; a value of None exists only in a cluster."""

    values: dict[str, str | None] = field(default_factory=dict)
    missing: dict[str, Place] = field(default_factory=dict)  #: declared, and nobody gave a value
    hashes: dict[str, Revision] = field(default_factory=dict)  #: those that are the hash of a revision's pod template

    def text(self, section: Section, name: str) -> Filled | None:
        """A text field with its arguments put in; a value known only in a cluster becomes `<name>`."""
        node = section.get(name)
        text = section.text(name)
        return None if node is None or text is None else self._put_in(section, name, text, cluster=True)

    def decided(self, section: Section, name: str) -> Node | None:
        """A field with its arguments put in, as a node that a number may be read from; None when not given."""
        node = section.get(name)
        if node is None or not isinstance(node.value, str) or "{{" not in node.value:
            return node
        filled = self._put_in(section, name, node.value, cluster=False)
        if filled is None:
            return None
        text = filled.text
        return Node(int(text) if re.fullmatch(r"-?\d{1,9}", text) else text, node.place, node.key_place)

    def condition(self, section: Section, name: str) -> Filled | None:
        """A condition with its arguments put in; None when it is not given or empty, or noted as wrong."""
        text = section.text(name)
        return self._put_in(section, name, text, cluster=False) if text else None

    def _put_in(self, section: Section, name: str, text: str, *, cluster: bool) -> Filled | None:
        pieces: list[Piece] = []
        parts: list[str] = []
        unknown_values: list[str] = []
        written = behind = 0
        failed = False
        for found in _PLACEHOLDER.finditer(text):
            value = self._value(section, name, found, cluster, unknown_values)
            failed = failed or value is None
            plain, value = text[behind : found.start()], value or ""
            pieces.append(Piece(written, written + len(plain), behind, found.start(), False))
            written += len(plain)
            pieces.append(Piece(written, written + len(value), found.start(), found.end(), True))
            written, behind = written + len(value), found.end()
            parts += [plain, value]
        rest = text[behind:]
        pieces.append(Piece(written, written + len(rest), behind, len(text), False))
        filled = Filled("".join((*parts, rest)), text, tuple(pieces), tuple(dict.fromkeys(unknown_values)))
        return None if failed else filled

    def _value(
        self, section: Section, name: str, found: re.Match[str], cluster: bool, unknown_values: list[str]
    ) -> str | None:
        """The value of one placeholder; None is noted as wrong."""
        inside = found[1].strip()
        key = inside.removeprefix("args.")
        if not inside.startswith("args."):
            _wrong(section, name, found, ScenarioError(f"expected {{{{args.NAME}}}}, got {found[0]!r}"))
        elif key not in self.values and key not in self.missing:
            _wrong(section, name, found, unknown(key, [*self.values, *self.missing], what="argument"))
        elif key in self.values and (value := self.values[key]) is not None:
            return value
        elif key in self.values and cluster and key in self.hashes:
            return self.hashes[key]
        elif key in self.values and cluster:
            unknown_values.append(key)
            return f"<{key}>"
        elif key in self.values:
            problem = f"argument {key!r} is known only in a cluster (valueFrom): expected a value here"
            _wrong(section, name, found, ScenarioError(problem))
        return None


def _wrong(section: Section, name: str, found: re.Match[str], error: ScenarioError) -> None:
    """Note what is wrong with a placeholder, with a caret under it."""
    node = section.get(name)
    section.notes.errors.append(
        pointed(
            Fault(error.problem, found.start(), found.end()),
            found.string,
            field=dotted((*section.path, name)),
            place=node.place if node is not None else None,
            nearest=error.nearest,
            known=error.known,
        )
    )


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with its arguments put in, and how its characters correspond to those of the file."""

    text: str
    raw: str
    pieces: tuple[Piece, ...]
    unknown: tuple[str, ...] = ()  #: arguments whose values exist only in a cluster

    def pointed(self, section: Section, name: str, fault: Fault) -> None:
        """Note an error about some of its characters."""
        node = section.get(name)
        place = node.place if node is not None else None
        field = dotted((*section.path, name))
        section.notes.errors.append(
            pointed(fault, self.text, field=field, place=place, raw=self.raw, pieces=self.pieces)
        )


def declared(templates: list[Section], given: list[Section], owner: Section, rollout: Node) -> Arguments:
    """The arguments of one analysis.

    Args:
        templates: the `spec` of each template of the analysis.
        given: the Rollout's `args`.
        owner: the Rollout's analysis, where a missing value is reported.
        rollout: the Rollout, whose metadata a `fieldRef` may name.
    """
    found = Arguments()
    places: dict[str, Place] = {}
    for template in templates:
        for each in template.sections("args"):
            each.fields(read=("name", "value", "valueFrom"))
            name = each.text("name")
            if name is None:
                each.fail(None, "expected an argument with a name, got none")
                continue
            _declare(found, each, name, places)
    for each in given:
        each.fields(read=("name", "value", "valueFrom"))
        name = each.text("name") or ""
        if name not in found.values and name not in found.missing:
            each.notes.warnings.append(f"{each.where()}: no template declares the argument {name!r}; it does nothing")
            continue
        found.missing.pop(name, None)
        found.values[name] = _value(each, rollout)
        _hash(found, each, name)
    for name, place in found.missing.items():
        owner.fail(None, f"expected a value for the argument {name!r} of {place.file}:{place.line}, got none")
    return found


def _declare(found: Arguments, each: Section, name: str, places: dict[str, Place]) -> None:
    """One argument of a template; two templates may declare it, when they do not disagree."""
    value = each.node.child("value")
    if not each.has("value") and not each.has("valueFrom"):
        if name not in found.values:
            found.missing.setdefault(name, each.place())
        return
    text = _value(each, None)
    if name in found.values and found.values[name] != text:
        place = places[name]
        problem = f"argument {name!r} has another value in {place.file}:{place.line}"
        each.fail("value" if value else None, problem)
    found.missing.pop(name, None)
    found.values[name] = text
    _hash(found, each, name)
    places[name] = each.place()


def _hash(found: Arguments, each: Section, name: str) -> None:
    """Note an argument that is `podTemplateHashValue: Latest` or `Stable`."""
    found.hashes.pop(name, None)
    source = each.section("valueFrom") if each.has("valueFrom") and not each.has("value") else None
    if source is None or not source.has("podTemplateHashValue"):
        return
    word = source.text("podTemplateHashValue")
    if word in _HASHES:
        found.hashes[name] = _HASHES[word]
    elif word is not None:
        error = unknown(word, _HASHES, what="word")
        source.fail("podTemplateHashValue", error.problem, nearest=error.nearest, known=error.known)


def _value(each: Section, rollout: Node | None) -> str | None:
    """The text of an argument; None when only a cluster knows it."""
    if each.has("value"):
        return each.text("value")
    source = each.section("valueFrom")
    if source is None:
        each.fail(None, "expected a value or valueFrom, got none")
        return None
    source.fields(read=("secretKeyRef", "podTemplateHashValue", "fieldRef"))
    reference = source.section("fieldRef")
    path = reference.text("fieldPath") if reference else None
    found = _FIELD.fullmatch(path) if path else None
    if rollout is None or found is None:
        return None
    keys = ("metadata", found[1], found[2]) if found[2] else ("metadata", found[1])
    node, steps = rollout.nearest(keys)
    return node.value if steps == len(keys) and isinstance(node.value, str) else None
