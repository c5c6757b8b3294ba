"""`rolloutlab resume`."""

from __future__ import annotations

import click


@click.command()
@click.argument("run", required=False)
@click.option("--undo", is_flag=True, help="Take the rollout back instead of going on with it.")
@click.option("--allow-python", is_flag=True, help="Run the Python code that its scenario names.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: the drill with its timeline, traffic and steps.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr while it runs.")
def command(run: str | None, undo: bool, allow_python: bool, output: str, quiet: bool) -> None:
    """Go on with a drill whose harness was killed: answers as journalled, waits to their original ends.

    RUN is a run id, as `rolloutlab resume` without one lists them. The processes died with the harness: they are
    started anew as the journal left them. Exit codes as of `rolloutlab drill`.
    """
    from rolloutlab.cli.drilling import need_to_clear, print_drills, refusals

    need_to_clear("resume")
    from rolloutlab.cli import options
    from rolloutlab.drill.live import view
    from rolloutlab.drill.resuming import resumed, unfinished
    from rolloutlab.text import safe

    if run is None:
        for one in unfinished():
            click.echo(safe(one.id))
        click.echo("name one to go on with it", err=True)
        return
    with refusals():
        result = resumed(
            run,
            undo=undo,
            allow_python=allow_python,
            view=None if quiet else view(),
            signals=True,
            again=options.typed(),
        )
    print_drills(result, output)
