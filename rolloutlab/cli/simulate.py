"""`rolloutlab simulate`."""

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
@click.option("--only", type=click.IntRange(0), metavar="N", help="Only the replication N, with --trace.")
@click.option("--trace", "prefix", is_flag=False, flag_value="", default=None, metavar="[PREFIX]",
              help="With --only: all that happened, as JSON lines to stdout, or to PREFIX.jsonl and (a Chrome trace) "
              "PREFIX.trace.json.")  # fmt: skip
@click.option("--html", type=click.Path(dir_okay=False, writable=True), metavar="FILE", help="Also write a page.")
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
    only: int | None,
    prefix: str | None,
    html: str | None,
) -> None:
    """Run the strategies of SCENARIO: a file, or the name of a shipped one.

    Each strategy runs in the same worlds: replication N is the same release, the same start-up times and the same
    traffic for all of them.
    """
    from rolloutlab.cli.work import Printing, Wish, run_and_print

    wish = Wish(scenario, strategies, variant, not no_variants, changes, bindings, allow_python, strict)
    if only is not None or prefix is not None:
        if only is None or prefix is None:
            raise click.UsageError("--only N and --trace go together: the trace is of one replication")
        if html is not None or output == "csv":
            raise click.UsageError(f"--trace and {'--html' if html is not None else '-o csv'} do not go together")
        from rolloutlab.cli.trace import trace_and_print

        trace_and_print(wish, replication=only, seed=seed, engine=engine, prefix=prefix)
        return
    printing = Printing(output, assumptions, html)
    run_and_print("simulate", wish, printing, runs=runs, seed=seed, jobs=jobs, engine=engine)
