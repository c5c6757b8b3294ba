"""`rolloutlab compare`."""

from __future__ import annotations

import click

from rolloutlab.cli import options


@click.command()
@options.scenario_argument
@options.drawing_options
@options.engine_option
@options.reading_options
@options.output_option
@options.assumptions_option
@click.option("--html", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Also write a page that needs nothing else: plots, tables, assumptions.")  # fmt: skip
def command(
    scenario: str,
    runs: int,
    seed: int,
    jobs: int | None,
    engine: str,
    strategies: tuple[str, ...],
    variant: str | None,
    no_variants: bool,
    changes: tuple[str, ...],
    bindings: tuple[str, ...],
    strict: bool,
    allow_python: bool,
    output: str,
    assumptions: bool,
    html: str | None,
) -> None:
    """Run the strategies of SCENARIO and tell how they differ.

    Differences are taken replication by replication, in the same worlds: what the worlds have in common cancels.
    """
    from rolloutlab.cli.work import Printing, Wish, run_and_print

    wish = Wish(scenario, strategies, variant, not no_variants, changes, bindings, allow_python, strict)
    printing = Printing(output, assumptions, html)
    run_and_print("compare", wish, printing, runs=runs, seed=seed, jobs=jobs, engine=engine)
