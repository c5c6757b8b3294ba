"""Example manifests of other projects: each one is read, or refused with a reason and a place; none makes it crash."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from scenarios.errors import ScenarioError
from scenarios.imports.manifest import import_manifest
from scenarios.programs import strategy_of
from scenarios.strategy_check import strategy_words
from scenarios.yaml_nodes import from_plain
from strategies.effects import Strategy

_TEMPLATES = ("analysis-templates.yaml", "cluster-analysis-templates.yaml")
_REASON = re.compile(r"[^ ]+\.yaml(:\d+:\d+)?( [^ :]+)?: \S.*")


def test_every_example_is_read_or_refused_with_a_reason(corpus: Path) -> None:
    outcomes: Counter[str] = Counter()
    for path in sorted(corpus.rglob("*.yaml")):
        templates = [path.parent / name for name in _TEMPLATES if (path.parent / name).is_file()]
        try:
            found = import_manifest(
                path, templates=templates, bind={"pass": "pass", "random-fail": "pass"}, strict=False
            )
        except ScenarioError as error:
            outcomes["refused"] += 1
            for line in str(error).splitlines():
                assert _REASON.fullmatch(line) or line.startswith("    "), line
            continue
        outcomes["read"] += 1
        strategy = strategy_of(found.name, strategy_words(from_plain(found.words, found.place), ()))
        assert isinstance(strategy, Strategy)
    assert outcomes["read"] >= 8
    assert outcomes["refused"] >= 8
