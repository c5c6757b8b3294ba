"""Arguments of AnalysisTemplates: `{{args.service}}` resolved from the Rollout, with the templates' defaults.

As Argo Rollouts does (`utils/analysis/factory.go` and `utils/template/template.go` @9f8d111d8): the Rollout's value
wins over the template's; an argument that nobody gives a value is an error. Values that exist only in a cluster
(secrets, pod template hashes) may stand in a query, which is bound by its name, but not where a number decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from scenarios.errors import Place, unknown
from scenarios.imports.section import Section
from scenarios.yaml_nodes import Node

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"metadata\.(name|namespace|uid|labels|annotations)(?:\['([^']+)'\])?")


@dataclass(slots=True)
class Arguments:
    """Resolved arguments; a value of None exists only in a cluster."""

    values: dict[str, str | None] = field(default_factory=dict)
    missing: dict[str, Place] = field(default_factory=dict)  #: declared, and nobody gave a value

    def text(self, section: Section, name: str) -> str | None:
        """A text field with its arguments put in; a value known only in a cluster becomes `<name>`."""
        text = section.text(name)
        return None if text is None else self._put_in(section, name, text, cluster=True)

    def decided(self, section: Section, name: str) -> Node | None:
        """A field with its arguments put in, as a node that a number may be read from; None when not given."""
        node = section.get(name)
        if node is None or not isinstance(node.value, str) or "{{" not in node.value:
            return node
        text = self._put_in(section, name, node.value, cluster=False)
        if text is None:
            return None
        return Node(int(text) if re.fullmatch(r"-?\d{1,9}", text) else text, node.place, node.key_place)

    def _put_in(self, section: Section, name: str, text: str, *, cluster: bool) -> str | None:
        failed = False

        def value(found: re.Match[str]) -> str:
            nonlocal failed
            inside = found[1].strip()
            key = inside.removeprefix("args.")
            if not inside.startswith("args."):
                section.fail(name, f"expected {{{{args.NAME}}}}, got {found[0]!r}")
            elif key not in self.values and key not in self.missing:
                error = unknown(key, [*self.values, *self.missing], what="argument")
                section.fail(name, error.problem, nearest=error.nearest, known=error.known)
            elif key in self.values and (self.values[key] is not None or cluster):
                return str(self.values[key] if self.values[key] is not None else f"<{key}>")
            elif key in self.values:
                section.fail(name, f"argument {key!r} is known only in a cluster (valueFrom): expected a value here")
            failed = True
            return ""

        result = _PLACEHOLDER.sub(value, text)
        return None if failed else result


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
    places[name] = each.place()


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
