"""The command line. Each command is a module of its own, imported when it is called: `--help` imports no library."""

from __future__ import annotations

import click

from rolloutlab.cli.group import LazyGroup

#: command -> module, its help in the list of commands
COMMANDS = {
    "simulate": ("simulate", "Run the strategies of a scenario, or trace one replication."),
    "compare": ("compare", "Run them and tell how they differ in the same worlds."),
    "predict": ("predict", "Say what a manifest would do to a release, good or bad."),
    "demo": ("demo", "Compare rolling, blue-green and canary over five releases."),
    "scenarios": ("scenarios", "List, show and validate scenario files."),
    "schema": ("schema", "Print the JSON Schema of scenario files."),
    "completion": ("completion", "Print the completion script of a shell."),
}


@click.group(
    cls=LazyGroup,
    commands_at={name: (f"rolloutlab.cli.{module}", text) for name, (module, text) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="rolloutlab", prog_name="rolloutlab")
def main() -> None:
    """Know what a rollout will do to your users before you apply it.

    Results go to stdout; progress and warnings to stderr. Exit codes: 0 as expected, 1 an expectation fails, 2 bad
    input, 5 too little evidence, 130 interrupted (what is complete is printed).
    """
