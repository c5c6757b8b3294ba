"""`rolloutlab schema`."""

from __future__ import annotations

import click


@click.command()
@click.argument("what", type=click.Choice(["scenario"]), default="scenario")
def command(what: str) -> None:
    """Print the JSON Schema of scenario files, for editors.

    Put `# yaml-language-server: $schema=scenario.schema.json` on the first line of a file and save the output beside it.
    """
    from scenarios.json_schema import text

    click.echo(text(), nl=False)
