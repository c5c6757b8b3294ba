"""Printing: one document to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from rolloutlab.text import safe

_ROWS = 20_000  #: of a CSV at a time

if TYPE_CHECKING:
    from rolloutlab.door import Progress
    from rolloutlab.result import Result


def finish(result: Result, output: str, *, assumptions: bool = False) -> None:
    """Print a result in the form asked for, its warnings to stderr, and end with its exit code.

    Args:
        assumptions: whether a table ends with the list of them.
    """
    if output == "json":
        click.echo(result.json())
    elif output == "csv":
        _csv(result)
    else:
        from rolloutlab.grid import terminal
        from rolloutlab.show import table_text

        click.echo(table_text(result, assumptions=assumptions), color=True if terminal() else None)
    for warning in result.warnings:
        click.echo(f"warning: {safe(warning)}", err=True)
    click.get_current_context().exit(result.exit_code)


def _csv(result: Result) -> None:
    """One row a replication; some rows at a time, so that a large result is not held twice."""
    for number, cell in enumerate(result.cells):
        frame = cell.frame
        for first in range(0, len(frame), _ROWS):
            part = frame.iloc[first : first + _ROWS]
            click.echo(part.to_csv(index=False, header=number == first == 0), nl=False)


@contextmanager
def progress(what: str) -> Iterator[Progress | None]:
    """A bar with an estimate on stderr while something runs; nothing where stderr is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
