"""What `simulate` and `compare` do with their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import click

from rolloutlab import door
from rolloutlab.cli import options
from rolloutlab.cli.output import finish, progress
from rolloutlab.cli.targets import check_writable
from rolloutlab.question import Asked, Question, read


@dataclass(frozen=True)
class Wish:
    """The reading options as they were given."""

    scenario: str
    strategies: tuple[str, ...]
    variant: str | None
    variants: bool
    changes: tuple[str, ...]
    bindings: tuple[str, ...]
    allow_python: bool
    strict: bool

    def read(self) -> list[Question]:
        """The questions that they name."""
        return read(
            Asked(
                path=self.scenario,
                variant=self.variant,
                variants=self.variants,
                overrides=options.overrides(self.changes),
                strategies=self.strategies or None,
                bind=options.bound(self.bindings),
                allow_python=self.allow_python,
                strict=self.strict,
            )
        )


@dataclass(frozen=True)
class Printing:
    """How a result is shown: the form on stdout, whether with its assumptions, and the page to write."""

    output: str
    assumptions: bool
    html: str | None


def run_and_print(
    command: str, wish: Wish, printing: Printing, *, runs: int, seed: int, jobs: int | None, engine: str
) -> None:
    """Run, print in the form asked for, write the page, and end with the exit code of the result."""
    again = options.typed(runs=runs, seed=seed)
    questions = wish.read()
    if printing.html is not None:
        check_writable(printing.html)
    inputs: dict[str, Any] = {"overrides": options.overrides(wish.changes), "bind": options.bound(wish.bindings)}
    with progress(f"{command} {wish.scenario}") as tell:
        result = door.run(
            questions,
            command=command,
            runs=runs,
            seed=seed,
            jobs=jobs,
            engine=cast(door.Engine, engine),
            on_progress=tell,
            inputs=inputs,
            again=again,
        )
    if printing.html is not None and result.cells:
        result.report(printing.html)
        click.echo(f"wrote {printing.html}", err=True)
    finish(result, printing.output, assumptions=printing.assumptions)
