"""`rolloutlab demo`."""

from __future__ import annotations

import click

from rolloutlab.cli import options


@click.command()
@click.option("--runs", type=click.IntRange(1, 100_000_000), default=10_000, show_default=True, metavar="N",
              help="Replications of each strategy in each world.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, metavar="N", help="Root of the numbers.")
@click.option(
    "--jobs", type=click.IntRange(1, 1024), default=None, metavar="N", help="Worker processes  [default: the cores]"
)
@options.output_option
@options.assumptions_option
@click.option("--out", type=click.Path(file_okay=False, writable=True), default="out", show_default=True,
              metavar="FOLDER", help="Where compare.html and demo.txt are written.")  # fmt: skip
def command(runs: int, seed: int, jobs: int | None, output: str, assumptions: bool, out: str) -> None:
    """Compare rolling, blue-green and canary over five releases: a table, and a page with plots.

    The service is the shipped checkout (scenarios/manifests), its traffic a real trace (scenarios/traces).
    """
    from pathlib import Path

    from rolloutlab.cli.output import finish, progress
    from rolloutlab.cli.targets import check_writable
    from rolloutlab.demo import demo
    from rolloutlab.show import table_text

    folder = Path(out)
    check_writable(folder / "compare.html", folder / "demo.txt")
    with progress("demo") as tell:
        result = demo(runs=runs, seed=seed, jobs=jobs, on_progress=tell)
    folder.mkdir(parents=True, exist_ok=True)
    if result.cells:
        page = result.report(folder / "compare.html")
        (folder / "demo.txt").write_text(table_text(result) + "\n", encoding="utf-8")
        click.echo(f"wrote {page}", err=True)
    finish(result, output, assumptions=assumptions)
