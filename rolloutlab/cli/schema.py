"""`rolloutlab schema`."""

from __future__ import annotations

import click


@click.command()
@click.argument("what", type=click.Choice(["scenario"]), default="scenario")
def command(what: str) -> None:
    """Print the JSON Schema of scenario files, for editors.

    Save it beside your files, with `# yaml-language-server: $schema=NAME` as the first line of each.
    """
    from scenarios.json_schema import text

    click.echo(text(), nl=False)
