"""The command line. Each command is a module of its own, imported when it is called: `--help` imports no library."""

from __future__ import annotations

import click

from rolloutlab.cli.group import LazyGroup

#: command -> module, its help in the list of commands
COMMANDS = {
    "simulate": ("simulate", "Run the strategies of a scenario, or trace one replication."),
    "compare": ("compare", "Run them and tell how they differ in the same worlds."),
    "predict": ("predict", "Say what a manifest would do to a release, good or bad."),
    "judge": ("judge", "Say how often each judge is wrong, how late, and how far from the limit."),
    "samplesize": ("samplesize", "Say how many requests it takes to see a change."),
    "drill": ("drill", "Roll out for real on this machine, with faults, and measure."),
    "calibrate": ("calibrate", "Hold what was predicted against what drills measured."),
    "resume": ("resume", "Go on with a drill whose harness was killed."),
    "abort": ("abort", "Stop drills that are running, in good order."),
    "sweep": ("sweep", "Clear what killed drills left behind."),
    "doctor": ("doctor", "Say whether a drill can run here, and what mends it."),
    "schedule": ("schedule", "Print what a cluster needs to run drills at set times."),
    "demo": ("demo", "Compare rolling, blue-green and canary over five releases."),
    "scenarios": ("scenarios", "List, show and validate scenario files."),
    "schema": ("schema", "Print the JSON Schema of scenario files."),
    "completion": ("completion", "Print the completion script of a shell."),
}


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version and end; a checkout that is not installed has none."""
    if not asked or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"rolloutlab {version('rolloutlab')}")
    except PackageNotFoundError:
        click.echo("rolloutlab, not installed: run from a checkout")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    commands_at={name: (f"rolloutlab.cli.{module}", text) for name, (module, text) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def main() -> None:
    """Know what a rollout will do to your users before you apply it.

    Results go to stdout; progress and warnings to stderr. Exit codes: 0 as expected, 1 an expectation fails, 2 bad
    input, 3 refused, 4 clean-up incomplete, 5 too little evidence, 130 interrupted (what is complete is printed).
    """
