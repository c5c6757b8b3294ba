"""`rolloutlab predict`."""

from __future__ import annotations

from typing import cast

import click

from rolloutlab.cli import options


@click.command()
@click.option("-f", "--file", "files", multiple=True, required=True, metavar="FILE",
              help="A Rollout or Deployment, then files with its AnalysisTemplates; repeatable.")  # fmt: skip
@click.option("--rate", default="100/s", show_default=True, metavar="RATE", help="Requests of the service.")
@options.binding_options
@click.option(
    "--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a value of the worlds; repeatable."
)
@options.drawing_options
@options.engine_option
@options.output_option
@options.assumptions_option
@click.option("--html", type=click.Path(dir_okay=False, writable=True), metavar="FILE", help="Also write a page.")
def command(
    files: tuple[str, ...],
    rate: str,
    bindings: tuple[str, ...],
    strict: bool,
    changes: tuple[str, ...],
    runs: int,
    seed: int,
    jobs: int | None,
    engine: str,
    output: str,
    assumptions: bool,
    html: str | None,
) -> None:
    """Say what a manifest would do to a release that is good, failing, slow, crashing or leaking.

    No scenario file and no cluster: the Rollout or Deployment says how the release goes, the worlds are those of the
    shipped scenarios, with your rate.
    """
    from rolloutlab import door
    from rolloutlab.cli.output import finish, progress
    from rolloutlab.cli.targets import check_writable
    from rolloutlab.prediction import predicted

    again = options.typed(runs=runs, seed=seed)
    if html is not None:
        check_writable(html)
    with progress("predict") as tell:
        result = predicted(
            files,
            rate=rate,
            bind=options.bound(bindings),
            strict=strict,
            runs=runs,
            seed=seed,
            jobs=jobs,
            engine=cast(door.Engine, engine),
            again=again,
            changes=options.overrides(changes),
            on_progress=tell,
        )
    if html is not None and result.cells:
        result.report(html)
        click.echo(f"wrote {html}", err=True)
    finish(result, output, assumptions=assumptions)
