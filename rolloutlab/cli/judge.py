"""`rolloutlab judge`."""

from __future__ import annotations

import click

from rolloutlab.cli import options


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=options.ShippedOrFile())
@click.option("--judge", "judges", multiple=True, metavar="NAME",
              help="Only this judge, or all of this kind; repeatable.  [default: all]")  # fmt: skip
@click.option("--weight", metavar="SHARE", help="Traffic on the canary, as 10%.  [default: first setWeight]")
@click.option("--to", metavar="SHARE", help="Error ratio of the bad canary, as 5%.  [default: the file's fault]")
@click.option("--alpha", default="1%", show_default=True, metavar="SHARE",
              help="Good releases that may be taken back in an hour.")  # fmt: skip
@click.option("--look", default="1s", show_default=True, metavar="DURATION", help="Time between two looks at counts.")
@click.option("--runs", type=click.IntRange(16, 10_000_000), default=2048, show_default=True, metavar="N",
              help="Replications of each judge: good releases, and bad ones.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Same seed, same numbers, for any number of jobs.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 1024), default=None, metavar="N",
              help="Worker processes  [default: as many as pay, up to the cores]")  # fmt: skip
@click.option("--strategy", metavar="NAME", help="Whose weight and rules are taken.  [default: the first canary]")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE",
              help="Change one value, as traffic.rate=20/s; repeatable.")  # fmt: skip
@click.option("--bind", "bindings", multiple=True, metavar="NAME=MEASURE",
              help="What a metric of a manifest measures, as errors=error_ratio:canary; repeatable.")  # fmt: skip
@click.option("--cards", "full", is_flag=True, help="Also print operating curves and where the seconds go.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every number of every card.")  # fmt: skip
@options.assumptions_option
@click.option("--html", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Also write a page that needs nothing else: plots, cards, assumptions.")  # fmt: skip
def command(
    scenarios: tuple[str, ...],
    judges: tuple[str, ...],
    weight: str | None,
    to: str | None,
    alpha: str,
    look: str,
    runs: int,
    seed: int,
    jobs: int | None,
    strategy: str | None,
    changes: tuple[str, ...],
    bindings: tuple[str, ...],
    full: bool,
    output: str,
    assumptions: bool,
    html: str | None,
) -> None:
    """Say how often each judge is wrong on the service of SCENARIOS, how late it is, and how far from the limit.

    A judge is a rule or a test that watches error counts and takes a release back. Your own rule is among them where
    the scenario has one. Exit code 1 when a judge is faster than any can be: then the simulation is wrong.
    """
    from rolloutlab.cli.output import progress
    from rolloutlab.cli.targets import check_writable
    from rolloutlab.grid import terminal
    from rolloutlab.judging.door import judge
    from rolloutlab.judging.reading import Asked
    from rolloutlab.judging.show import text_of
    from rolloutlab.text import safe

    again = options.typed(runs=runs, seed=seed)
    if html is not None:
        check_writable(html)
    asked = Asked(
        weight=weight,
        to=to,
        alpha=alpha,
        look=look,
        strategy=strategy,
        overrides=options.overrides(changes),
        bind=options.bound(bindings),
    )
    with progress("judge") as tell:
        result = judge(scenarios, asked, judges=judges, runs=runs, seed=seed, jobs=jobs, on_progress=tell, again=again)
    if html is not None and result.cards:
        result.report(html)
        click.echo(f"wrote {html}", err=True)
    if output == "json":
        click.echo(result.json())
    else:
        click.echo(text_of(result, full=full, assumptions=assumptions), color=True if terminal() else None)
    for warning in result.warnings:
        click.echo(f"warning: {safe(warning)}", err=True)
    click.get_current_context().exit(result.exit_code)
