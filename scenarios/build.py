"""The entries under `strategies:` as strategies that any world can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scenarios.custom import custom_strategy
from scenarios.errors import Place, ScenarioError, ScenarioErrors, dotted, raise_all, shown
from scenarios.imports.manifest import Imported, import_manifest, unused
from scenarios.load import Loaded
from scenarios.programs import strategy_of
from scenarios.queries import Queries, check_queries, longest_seconds, pod_samples
from scenarios.schema import Scenario
from scenarios.strategy_check import strategy_words
from scenarios.strategy_rules import check_rules, doubts
from scenarios.strategy_spec import StrategyWords
from scenarios.units import duration_text
from scenarios.yaml_nodes import Node, from_plain
from strategies.effects import Query, Strategy

MAX_WINDOW_SCRAPES: Final = 10_000  #: kept for each replication of a chunk
MAX_POD_SAMPLES: Final = 2e8  #: numbers of 8 bytes kept of the pods of a chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Strategies by the names of the scenario, and what their manifests say of the service."""

    strategies: dict[str, Strategy]
    routed: dict[str, bool]  #: `Release.routed` of each: a router splits traffic by weight
    patch: dict[str, Any]  #: laid over the scenario (`load_scenario(..., overrides=patch)`): manifests' facts win
    imported: dict[str, Imported]  #: the manifests behind `from:` entries
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    """What is collected while the entries are built."""

    base_dir: Path
    routed_by_scenario: bool
    allow_python: bool
    bind: Mapping[str, Any]
    strategies: dict[str, Strategy] = field(default_factory=dict)
    routed: dict[str, bool] = field(default_factory=dict)
    imported: dict[str, Imported] = field(default_factory=dict)
    errors: list[ScenarioError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def build_strategies(
    source: Loaded | Scenario,
    *,
    base_dir: str | Path | None = None,
    where: Node | None = None,
    allow_python: bool = False,
    bind: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> Built:
    """All strategies of a scenario.

    Args:
        source: a loaded file, or a scenario made in Python.
        base_dir: where relative file names start; a loaded file's own folder when not given.
        where: the tree of the file, for the places of errors; a loaded file has its own.
        allow_python: run the code that `python:` entries name.
        bind: what queries of manifests measure, for every `from:` entry; an entry's own `bind:` wins.
        strict: a query for a series that nothing exports is an error; else it is a warning, and finds nothing.

    Raises:
        ScenarioErrors: everything wrong with the entries and with the manifests they name.
    """
    scenario = source.scenario if isinstance(source, Loaded) else source
    root = source.root if isinstance(source, Loaded) else where
    folder = Path(base_dir) if base_dir is not None else source.path.parent if isinstance(source, Loaded) else Path()
    work = _Work(folder, scenario.router.kind == "weighted", allow_python, bind or {})
    for name, words in scenario.strategies.items():
        node = root.nearest(("strategies", name)) if root is not None else None
        entry = node[0] if node is not None and node[1] == 2 else from_plain(words, Place("", 0))
        try:
            _build(name, entry, ("strategies", name), work)
        except ScenarioError as error:
            work.errors.append(error)
    if not work.errors:
        work.errors += _unused(work)
        work.errors += _windows(work, scenario, root)
    patch, assumed = _merged(work)
    if not work.errors:
        queries = _queries(work, scenario, patch, root, strict=strict)
        work.errors += queries.errors
        work.warnings += queries.warnings
        assumed = (*assumed, *dict.fromkeys(queries.assumed))
    raise_all(work.errors)
    return Built(
        strategies=work.strategies,
        routed=work.routed,
        patch=patch,
        imported=work.imported,
        assumed=assumed,
        warnings=tuple(dict.fromkeys(work.warnings)),
    )


def _queries(work: _Work, scenario: Scenario, patch: dict[str, Any], root: Node | None, *, strict: bool) -> Queries:
    """What the PromQL of the strategies asks for, with the manifests' names of the service and its Services."""
    service = scenario.service.model_copy(update={"name": patch.get("service", {}).get("name", scenario.service.name)})
    services = patch.get("metrics", {}).get("services", scenario.metrics.services)
    metrics = scenario.metrics.model_copy(update={"services": services})
    here = scenario.model_copy(update={"service": service, "metrics": metrics})
    nodes = {name: root.nearest(("strategies", name))[0] if root is not None else None for name in work.strategies}
    places = {name: node.place if node is not None else None for name, node in nodes.items()}
    asked = {text: place for imported in work.imported.values() for text, place in imported.queries.items()}
    return check_queries(here, work.strategies, places, asked, strict=strict)


def _windows(work: _Work, scenario: Scenario, root: Node | None) -> list[ScenarioError]:
    """Windows of so many scrapes that memory would not hold them."""
    interval = scenario.metrics.scrape_interval_seconds
    errors = []
    for name, strategy in work.strategies.items():
        longest = max((ask.window_seconds for ask in strategy.reads if isinstance(ask, Query)), default=0.0)
        longest = max(longest, longest_seconds(strategy.reads))
        if min(longest, scenario.horizon_seconds) > interval * MAX_WINDOW_SCRAPES:
            node = root.nearest(("metrics", "scrapeInterval"))[0] if root is not None else None
            problem = (
                f"expected a window of at most {MAX_WINDOW_SCRAPES} scrapes, got {duration_text(longest)} of a scrape "
                f"each {duration_text(interval)} (strategy {name!r})"
            )
            errors.append(ScenarioError(problem, field="metrics.scrapeInterval", place=node.place if node else None))
        elif pod_samples(scenario, strategy.reads) > MAX_POD_SAMPLES:
            node = root.nearest(("service", "replicas"))[0] if root is not None else None
            problem = (
                f"expected fewer pods, buckets or scrapes: the series of {scenario.service.replicas} pods over "
                f"{duration_text(min(longest, scenario.horizon_seconds))} do not fit into memory (strategy {name!r})"
            )
            errors.append(ScenarioError(problem, field="service.replicas", place=node.place if node else None))
    return errors


def _build(name: str, entry: Node, path: tuple[str, ...], work: _Work) -> None:
    words = strategy_words(entry, path)
    routed = work.routed_by_scenario
    if words.manifest is not None:
        imported = _imported(entry, words, path, work)
        work.imported[name] = imported
        work.warnings += imported.warnings
        words = strategy_words(from_plain(imported.words, imported.place), ())
        routed = imported.routed
    if words.python is not None:
        if not work.allow_python:
            place = (entry.child("python") or entry).key_place
            problem = "a strategy that runs Python code is refused; give --allow-python if you trust this file"
            raise ScenarioError(problem, field=".".join((*path, "python")), place=place)
        work.strategies[name] = custom_strategy(name, words, entry, path, folder=_folder(entry, "python", work))
    else:
        check_rules(words, entry, path, routed=routed)
        work.warnings += doubts(name, words)
        try:
            work.strategies[name] = strategy_of(name, words)
        except ValueError as error:
            raise ScenarioError(str(error), field=dotted(path), place=entry.place) from None
    work.routed[name] = routed or words.blue_green is not None


def _folder(entry: Node, word: str, work: _Work) -> Path:
    """The folder of the file in which a word stands."""
    node = entry.child(word)
    place = node.place if node is not None else None
    return Path(place.file).parent if place is not None and place.line else work.base_dir


def _imported(entry: Node, words: StrategyWords, path: tuple[str, ...], work: _Work) -> Imported:
    folder = _folder(entry, "from", work)
    assert words.manifest is not None
    bindings = entry.child("bind")
    given = bindings.value if bindings is not None else None
    places = {name: node.place for name, node in given.items()} if isinstance(given, dict) else {}
    try:
        return import_manifest(
            folder / words.manifest,
            templates=[_folder(entry, "templates", work) / each for each in words.templates],
            bind={**work.bind, **words.bind},
            places=places,
            strict=False,
        )
    except ScenarioErrors as found:
        raise ScenarioErrors(_named(error, entry, path) for error in found.errors) from None


def _named(error: ScenarioError, entry: Node, path: tuple[str, ...]) -> ScenarioError:
    """An error of a manifest; one about a file that cannot be read stands where the file is named."""
    if error.line or error.field or not error.file:
        return error
    word = next((each for each in ("templates", "from") if _names(entry, each, error.file)), "from")
    place = (entry.child(word) or entry).place
    if place is None or not place.line:  # it was named on the command line
        return error
    return ScenarioError(f"{error.problem} ({error.file})", field=dotted((*path, word)), place=place)


def _names(entry: Node, word: str, file: str) -> bool:
    node = entry.child(word)
    given = node.plain() if node is not None else None
    texts = given if isinstance(given, list) else [given]
    return any(isinstance(each, str) and file.endswith(each) for each in texts)


def _unused(work: _Work) -> list[ScenarioError]:
    """Bindings that no manifest took."""
    if not work.imported:
        return unused(work.bind, (), (), {})
    used = {name for each in work.imported.values() for name in each.used}
    names = {name for each in work.imported.values() for name in each.names}
    return unused(work.bind, used, names, {})


def _merged(work: _Work) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The facts of all manifests; two that disagree cannot both describe the scenario's one service."""
    facts: dict[str, tuple[Any, Imported]] = {}
    lines: list[str] = []
    for name, imported in work.imported.items():
        for word, value in imported.patch["service"].items():
            if word == "name":
                facts.setdefault(word, (value, imported))
                continue
            known, first = facts.setdefault(word, (value, imported))
            if known != value:
                problem = (
                    f"service.{word} is {_brief(value)} here and {_brief(known)} in {first.place.file}: "
                    "a scenario has one service"
                )
                work.errors.append(ScenarioError(problem, field=f"strategies.{name}.from", place=imported.place))
        lines += imported.assumed
    patch: dict[str, Any] = {}
    if facts:
        patch["service"] = {word: value for word, (value, _) in facts.items()}
    for imported in work.imported.values():
        patch |= {word: imported.patch[word] for word in ("router", "metrics") if word in imported.patch}
    return patch, tuple(dict.fromkeys(lines))


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_brief(below)}" for name, below in value.items()) + "}"
    return shown(value)
