"""`rolloutlab scenarios`: what ships, and what a file says."""

from __future__ import annotations

import click

from rolloutlab.cli.options import ShippedOrFile


@click.group(name="scenarios")
def command() -> None:
    """List, show and validate scenario files."""


@command.command(name="list")
def list_() -> None:
    """Names and questions of the scenarios that ship."""
    from scenarios.library import find, names
    from scenarios.load import load_scenario

    width = max(map(len, names()))
    for name in names():
        click.echo(f"{name:<{width}}  {load_scenario(find(name)).scenario.title}")


@command.command()
@click.argument("scenario", type=ShippedOrFile())
@click.option("--variant", metavar="NAME", help="With this variant laid over the file.")
def show(scenario: str, variant: str | None) -> None:
    """Print SCENARIO as it is understood: `extends`, presets and variant laid over each other, as YAML."""
    import sys

    from ruamel.yaml import YAML

    from scenarios.library import find
    from scenarios.load import load_scenario

    loaded = load_scenario(find(scenario), variant=variant, allow_python=True)
    yaml = YAML()
    yaml.width = 120
    yaml.dump(loaded.root.plain(), sys.stdout)
    click.echo("# assumed where it is silent:")
    for line in loaded.assumed:
        click.echo(f"#   {line}")


@command.command()
@click.argument("scenarios", nargs=-1, required=True, type=ShippedOrFile())
@click.option("--allow-python", is_flag=True, help="Accept strategies that name Python code.")
@click.option("--strict", is_flag=True, help="Refuse queries for series that nothing exports.")
def validate(scenarios: tuple[str, ...], allow_python: bool, strict: bool) -> None:
    """Check SCENARIOS and the manifests they name; every error with file, line, field and the nearest valid name."""
    from rolloutlab.question import Asked, read
    from scenarios.errors import ScenarioError

    failed = False
    for name in scenarios:
        try:
            questions = read(Asked(path=name, allow_python=allow_python, strict=strict))
        except ScenarioError as error:
            failed = True
            click.echo("\n".join(f"error: {line}" for line in str(error).splitlines()), err=True)
            continue
        cells = sum(len(question.strategies) for question in questions)
        for line in dict.fromkeys(line for question in questions for line in question.warnings):
            click.echo(f"warning: {name}: {line}", err=True)
        click.echo(f"{name}: valid, {cells} cells")
    if failed:
        click.get_current_context().exit(2)
