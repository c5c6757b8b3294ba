"""`rolloutlab sweep`."""

from __future__ import annotations

import click


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be cleared, and do nothing.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every run with what it left, and what is left now.")  # fmt: skip
def command(only_plan: bool, output: str) -> None:
    """Clear what killed drills left behind: end their processes, remove their files; journals and results stay.

    A drill that is running is left alone (`rolloutlab abort` ends one). Exit code 4 when something could not be
    cleared.
    """
    import json

    from rolloutlab.cli.drilling import need_world

    need_world("sweep")
    from rolloutlab.drill.clearing import orphans, swept
    from rolloutlab.text import safe

    found = orphans() if only_plan else swept()
    left = {one.run_id: one.left for one in found if one.left}
    if output == "json":
        told = {"schema": 1, "command": "sweep", "plan": only_plan, "runs": [one.plain() for one in found]}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for one in found:
            click.echo(safe(one.text(planned=only_plan)))
        if not found:
            click.echo("nothing to clear")
    click.get_current_context().exit(4 if left else 0)
