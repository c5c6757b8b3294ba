"""`rolloutlab samplesize`."""

from __future__ import annotations

from typing import cast

import click


@click.command()
@click.option("--from", "p0", required=True, metavar="SHARE", help="Error ratio of the stable revision, as 1%.")
@click.option("--to", "p1", required=True, metavar="SHARE", help="Error ratio that the canary must not have, as 1.5%.")
@click.option("--alpha", default="5%", show_default=True, metavar="SHARE", help="Probability to reject a good canary.")
@click.option("--power", default="80%", show_default=True, metavar="SHARE", help="Probability to find a bad one.")
@click.option("--sides", type=click.Choice(["1", "2"]), default="2", show_default=True,
              help="2: a change in either direction; 1: only in the direction of --to.")  # fmt: skip
@click.option("--ratio", "ratios", multiple=True, metavar="CANARY:STABLE",
              help="Split of the requests, as 1:9; repeatable.  [default: 1:1 and 1:9]")  # fmt: skip
@click.option("--weight", "weights", multiple=True, metavar="SHARE",
              help="The same as the canary's share of the traffic, as 10%; repeatable.")  # fmt: skip
@click.option("--rate", metavar="RATE", help="Requests of the service, as 120/s: adds the time that it takes.")
@click.option("--window", metavar="DURATION", help="With --rate: what so long a window is good for, as 10m.")
@click.option("--margin", metavar="SHARE", help="Half width of one interval  [default: the change itself]")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    p0: str,
    p1: str,
    alpha: str,
    power: str,
    sides: str,
    ratios: tuple[str, ...],
    weights: tuple[str, ...],
    rate: str | None,
    window: str | None,
    margin: str | None,
    output: str,
) -> None:
    """Say how many requests it takes to see an error ratio change, and which question each number answers.

    Comparing two revisions, measuring one ratio, watching all the time, and seeing no failure at all take very
    different numbers of requests.
    """
    from rolloutlab.samplesize import Wanted, sizes, split, split_of_weight
    from rolloutlab.samplesize.wanted import EVEN, SPLITS, read
    from scenarios.units import duration, share
    from scenarios.units import rate as per_second
    from strategies.limits import Sides

    given = [*map(split, ratios), *(split_of_weight(read("--weight", weight, share)) for weight in weights)]
    wanted = Wanted(
        p0=read("--from", p0, share),
        p1=read("--to", p1, share),
        alpha=read("--alpha", alpha, share),
        power=read("--power", power, share),
        sides=cast(Sides, int(sides)),
        splits=tuple({one.text: one for one in (EVEN, *given)}.values()) if given else SPLITS,
        rate_per_second=None if rate is None else read("--rate", rate, per_second),
        window_seconds=None if window is None else read("--window", window, duration),
        margin=None if margin is None else read("--margin", margin, share),
    )
    found = sizes(wanted)
    if output == "json":
        click.echo(found.json())
    else:
        from rolloutlab.grid import terminal
        from rolloutlab.samplesize.show import table_text

        click.echo(table_text(found), color=True if terminal() else None)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
