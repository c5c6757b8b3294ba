"""A strategy of the user's own: `python: package.module:function`, a generator function `(release, **settings)`.

Running it means running the file's code; the caller has asked for that (`--allow-python`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scenarios.errors import ScenarioError, dotted, near, one_line, shown
from scenarios.measures import Binding, query
from scenarios.strategy_spec import StrategyWords
from scenarios.yaml_nodes import Node
from strategies.effects import Query, Strategy

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_RELEASE = object()


def custom_strategy(name: str, words: StrategyWords, entry: Node, path: tuple[str, ...], *, folder: Path) -> Strategy:
    """The strategy of a `python:` entry.

    Args:
        folder: modules beside the scenario file are found there, after all installed ones.

    Raises:
        ScenarioError: no such module or function, not a generator function, settings it does not take, queries that
            are none.
    """
    assert words.python is not None
    node = entry.child("python") or entry
    try:
        function = _function(words.python, folder)
        _check_settings(function, words.settings)
        reads = (*_declared(function), *(_query(text) for text in words.reads))
    except ValueError as error:
        raise ScenarioError(str(error), field=dotted((*path, "python")), place=node.place) from None
    program = functools.partial(function, **words.settings)
    return Strategy(name, program, tuple(dict.fromkeys(reads)), {"python": words.python, **words.settings})


def _function(name: str, folder: Path) -> Any:
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected package.module:function, got {shown(name)}")
    module_name, _, attribute = name.partition(":")
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"no module {error.name!r} (looked for {module_name!r} in {folder.resolve()} too)") from None
    except (Exception, SystemExit) as error:  # whatever the file's own code does while it is imported
        text = one_line(f"{type(error).__name__}: {error}", 200)
        raise ValueError(f"module {module_name!r} cannot be imported: {text}") from error
    function = getattr(module, attribute, None)
    if function is None:
        functions = [key for key, value in vars(module).items() if inspect.isgeneratorfunction(value)]
        hint = f"; did you mean {near(attribute, functions)!r}?" if near(attribute, functions) else ""
        raise ValueError(f"module {module_name!r} has no function {attribute!r}{hint}")
    if not inspect.isgeneratorfunction(inspect.unwrap(function)):
        raise ValueError(f"expected a generator function (one that yields effects), got {attribute!r} that is none")
    return function


def _check_settings(function: Any, settings: dict[str, Any]) -> None:
    try:
        inspect.signature(function).bind(_RELEASE, **settings)
    except TypeError as error:
        raise ValueError(f"the function does not take these settings: {error}") from None


def _declared(function: Any) -> tuple[Query, ...]:
    """The queries that the function says it asks (its attribute `reads`)."""
    given = getattr(function, "reads", ())
    reads = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in reads:
        if not isinstance(each, Query):
            raise ValueError(f"expected the attribute reads to hold strategies.effects.Query, got {shown(each)}")
    return reads


def _query(text: str) -> Query:
    binding = Binding.parse(text)
    if binding.passes or binding.factor != 1 or binding.window_seconds is None:
        raise ValueError(f"expected a query such as error_ratio:canary:5m, got {shown(text)}")
    return query(binding.measure, binding.revision, binding.window_seconds)
