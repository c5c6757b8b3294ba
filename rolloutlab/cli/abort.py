"""`rolloutlab abort`."""

from __future__ import annotations

from typing import Any

import click

from rolloutlab.cli.cluster_options import cluster_settings, reach_options


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every drill of yours that is running.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0.1, 3600), metavar="SECONDS",
              help="How long a drill may take to end in good order; then it is ended at once.")  # fmt: skip
@click.option("--world", default="local", show_default=True, metavar="NAME",
              help="cluster: with --all, also stop what other machines do in the namespace.")  # fmt: skip
@reach_options
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every run and what became of it.")  # fmt: skip
def command(runs: tuple[str, ...], everything: bool, timeout: float, world: str, output: str, **where: Any) -> None:
    """Stop drills that are running: their rollouts are taken back, then everything is swept.

    RUN is a run id, as `rolloutlab abort` without one lists them. A drill that does not end in time is ended at once,
    and what it leaves is swept. Exit code 4 when something could not be cleared.

    In a cluster --all leaves a ConfigMap `rolloutlab-stop` in the namespace, which is the emergency stop: while it is
    there, no drill begins.
    """
    import json

    from rolloutlab.cli.drilling import ended, need_to_clear, tried

    need_to_clear("abort", world)
    from rolloutlab.drill.clearing import aborted, running, stopped_in_cluster
    from rolloutlab.text import safe
    from scenarios.errors import unknown

    settings = cluster_settings(world, where)
    alive = {one.id: one for one in running()}
    if not runs and not everything:
        for name in alive:
            click.echo(safe(name))
        click.echo(f"{len(alive)} running; name one, or --all", err=True)
        click.get_current_context().exit(0)
    wrong = next((name for name in runs if name not in alive), None)
    if wrong is not None:
        raise unknown(wrong, alive, field="RUN", what="running drill")
    found = aborted([alive[name] for name in (alive if everything else dict.fromkeys(runs))], timeout)
    refused = ""
    if settings is not None and everything:
        from chaos.cluster.safety import stopped

        more, refused = tried(lambda: stopped_in_cluster(settings))
        found += more
        if not refused:
            click.echo(f"no drill begins there any more: {stopped(settings.namespace)}", err=True)
    if output == "json":
        told = {"schema": 1, "command": "abort", "runs": [one.plain() for one in found]}
        click.echo(json.dumps({**told, "refused": refused}, indent=2, ensure_ascii=False))
    else:
        for one in found:
            click.echo(safe(one.text()))
        if not found and not refused:
            click.echo("no drill is running")
    ended(refused, incomplete=any(one.left for one in found))
