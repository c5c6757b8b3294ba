"""Options that several commands share, and what they mean in one place."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class ShippedOrFile(click.ParamType[str]):
    """A scenario file, or the bare name of a shipped one; names complete in the shell."""

    name = "scenario"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Shipped names, and files."""
        from click.shell_completion import CompletionItem

        from scenarios.library import names

        items = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return items or [CompletionItem(incomplete, type="file")]


scenario_argument = click.argument("scenario", type=ShippedOrFile())
_DRAWING = (
    click.option("--runs", type=click.IntRange(1, 100_000_000), default=1000, show_default=True, metavar="N",
                 help="Independent replications of each strategy."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
                 help="Same seed, same numbers, for any number of jobs."),
    click.option("--jobs", type=click.IntRange(1, 1024), default=None, metavar="N",
                 help="Worker processes  [default: as many as pay, up to the cores]"),
)  # fmt: skip
_READING = (
    click.option("--strategy", "strategies", multiple=True, metavar="NAME", help="Only this strategy; repeatable."),
    click.option("--variant", metavar="NAME", help="Only this variant of the file."),
    click.option("--no-variants", is_flag=True, help="Only the file as it stands, without its variants."),
    click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE",
                 help="Change one value, as service.replicas=20; repeatable."),
)  # fmt: skip
_TRUST = (
    click.option("--bind", "bindings", multiple=True, metavar="NAME=MEASURE|script:…",
                 help="What a metric of a manifest measures, as success-rate=success_ratio:canary, or what its "
                 "provider answers, as smoke=script:Successful,error; repeatable."),
    click.option("--strict", is_flag=True,
                 help="Refuse a query for a series that nothing exports, instead of a warning and an empty answer."),
    click.option("--allow-python", is_flag=True, help="Run the Python code that the file names."),
)  # fmt: skip
engine_option = click.option(
    "--engine", type=click.Choice(["batch", "event"]), default="batch", show_default=True,
    help="batch: thousands of replications a second; event: a process per request (SimPy), the slow reference.",
)  # fmt: skip
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="csv: one row a replication.",
)  # fmt: skip
assumptions_option = click.option(
    "--assumptions", is_flag=True, help="List under the table every value that the input does not give."
)


def _with(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


drawing_options = _with(*_DRAWING)
reading_options = _with(*_READING, *_TRUST)
binding_options = _with(_TRUST[0], _TRUST[1])


def overrides(changes: tuple[str, ...]) -> dict[str, str]:
    """`--set FIELD=VALUE` as overrides."""
    from scenarios.errors import ScenarioError

    found = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not (name and equals):
            raise ScenarioError(expected="FIELD=VALUE, such as service.replicas=20", got=change, field="--set")
        found[name] = value
    return found


def bound(bindings: tuple[str, ...]) -> dict[str, str]:
    """`--bind NAME=MEASURE` as a mapping."""
    from rolloutlab.question import binding

    return dict(map(binding, bindings))


def typed(**defaults: object) -> str:
    """The command as it was typed, with the options that its numbers depend on where they were left out.

    Args:
        defaults: `seed=0` adds `--seed 0` unless it was given.
    """
    root = click.get_current_context().find_root().command
    words = ["rolloutlab", *getattr(root, "words", ())]
    for name, value in defaults.items():
        if not any(word == f"--{name}" or word.startswith(f"--{name}=") for word in words):
            words += [f"--{name}", str(value)]
    return shlex.join(words)
