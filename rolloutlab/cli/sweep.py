"""`rolloutlab sweep`."""

from __future__ import annotations

from typing import Any

import click

from rolloutlab.cli.cluster_options import cluster_settings, reach_options


@click.command()
@click.option("--world", default="local", show_default=True, metavar="NAME",
              help="cluster: also drills of other machines in the namespace whose harness is gone.")  # fmt: skip
@reach_options
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be cleared, and do nothing.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every run with what it left, and what is left now.")  # fmt: skip
def command(world: str, only_plan: bool, output: str, **where: Any) -> None:
    """Clear what killed drills left behind: processes, files, objects in clusters; journals and results stay.

    A drill that is running is left alone (`rolloutlab abort` ends one). Exit code 4 when something could not be
    cleared.
    """
    import json

    from rolloutlab.cli.drilling import ended, need_to_clear, tried

    need_to_clear("sweep", world)
    from rolloutlab.drill import clearing
    from rolloutlab.text import safe

    settings = cluster_settings(world, where)
    found = clearing.orphans() if only_plan else clearing.swept()
    refused = ""
    if settings is not None:
        there = clearing.ownerless if only_plan else clearing.swept_in_cluster
        more, refused = tried(lambda: there(settings))
        found += more
    if output == "json":
        told = {"schema": 1, "command": "sweep", "plan": only_plan, "runs": [one.plain() for one in found]}
        click.echo(json.dumps({**told, "refused": refused}, indent=2, ensure_ascii=False))
    else:
        for one in found:
            click.echo(safe(one.text(planned=only_plan)))
        if not found and not refused:
            click.echo("nothing to clear")
    ended(refused, incomplete=any(one.left for one in found))
