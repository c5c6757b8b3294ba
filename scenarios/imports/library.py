"""What a Rollout may name in its files: templates, Deployments, and what queries measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scenarios.errors import Place, unknown
from scenarios.imports.arguments import Arguments
from scenarios.imports.documents import Document
from scenarios.imports.section import Notes, Section
from scenarios.measures import Binding
from scenarios.yaml_nodes import Node

TEMPLATE_KINDS: Final = ("AnalysisTemplate", "ClusterAnalysisTemplate")


@dataclass(slots=True)
class Library:
    """The templates that a Rollout may name, and what their queries measure."""

    documents: list[Document]
    bindings: Mapping[str, Binding]
    notes: Notes
    rollout: Node
    used: set[str] = field(default_factory=set)  #: names of bindings that a metric took
    names: set[str] = field(default_factory=set)  #: names that a binding may have
    queries: dict[str, Place] = field(default_factory=dict)  #: where a query stands that is asked as it is

    def find(self, section: Section, name: str, *, cluster: bool) -> Document | None:
        """A template by its name; noted as an error when there is none."""
        kind = TEMPLATE_KINDS[cluster]
        known = {document.name: document for document in self.documents if document.kind == kind}
        if name in known:
            return known[name]
        error = unknown(name, known, what=kind)
        problem = error.problem if known else f"{error.problem}: no file that was read has one"
        section.fail("templateName", problem, nearest=error.nearest, known=error.known)
        return None


@dataclass(frozen=True, slots=True)
class TemplateMetric:
    """One metric of one template, with the arguments of its run."""

    template: str
    section: Section
    arguments: Arguments
    alone: bool  #: its template has no other metric
