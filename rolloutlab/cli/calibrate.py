"""`rolloutlab calibrate`."""

from __future__ import annotations

from typing import Any

import click

from rolloutlab.cli import options
from rolloutlab.cli.cluster_options import cluster_options, cluster_settings
from rolloutlab.cli.drill import Speed


@click.command()
@options.scenario_argument
@click.option("--strategy", metavar="NAME", help="Which strategy.  [default: the only one of the file]")
@click.option(
    "--world", default="local", show_default=True, metavar="NAME", help="Where the drills are done: local or cluster."
)
@cluster_options
@click.option("--repeat", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="N",
              help="Drills that the model is judged on.")  # fmt: skip
@click.option("--fit", "parameters", multiple=True, metavar="NAME",
              help="Fit a parameter of the model first: router.lag, service.endpointLag, service.startup.schedule, "
              ".pull or .start, service.latency; repeatable.")  # fmt: skip
@click.option("--fit-repeat", type=click.IntRange(1, 1000), default=10, show_default=True, metavar="N",
              help="Drills, before the others, that it is fitted to.")  # fmt: skip
@click.option("--from", "journals", multiple=True, type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="A journal of an earlier drill; repeatable. With it, no drill is done.")  # fmt: skip
@click.option("--keep", type=click.Path(file_okay=False, writable=True), metavar="FOLDER",
              help="Write the journal of each drill there, for --from.")  # fmt: skip
@click.option("--runs", type=click.IntRange(64, 10_000_000), default=2048, show_default=True, metavar="N",
              help="Replications of the model.")  # fmt: skip
@click.option("--speed", type=Speed(), default="auto", show_default=True, help="As of `drill`.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Root of the model's numbers, and seed of the first drill.")  # fmt: skip
@click.option("--variant", metavar="NAME", help="This variant of the file.")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE",
              help="Change one value, as router.lag=0.1s; repeatable.")  # fmt: skip
@options.binding_options
@click.option("--allow-python", is_flag=True, help="Run the Python code that the file names.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every value, PIT and fit.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr while drills run.")
@click.option("--html", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Also write a page that needs nothing else, with the PIT plots.")  # fmt: skip
def command(
    scenario: str,
    strategy: str | None,
    world: str,
    repeat: int,
    parameters: tuple[str, ...],
    fit_repeat: int,
    journals: tuple[str, ...],
    keep: str | None,
    runs: int,
    speed: float,
    seed: int,
    variant: str | None,
    changes: tuple[str, ...],
    bindings: tuple[str, ...],
    strict: bool,
    allow_python: bool,
    output: str,
    quiet: bool,
    html: str | None,
    **where: Any,
) -> None:
    """Hold what the simulator predicts of SCENARIO against what drills of it measure.

    Times from the first bad response to the decision, and from there to the last response of the bad revision; beside
    them the lags of pods, endpoints and router, by which parameters are fitted where drills show them. Exit code 0 when
    the model holds, 1 when it does not, 5 when too little was measured to say.
    """
    from rolloutlab.cli.drilling import calibrate_and_print, need_world

    need_world("calibrate", world)
    from chaos.plan import Settings
    from rolloutlab.drill.door import Wanted

    wanted = Wanted(
        path=scenario,
        strategies=(strategy,) if strategy else (),
        variant=variant,
        overrides=options.overrides(changes),
        bind=options.bound(bindings),
        strict=strict,
        allow_python=allow_python,
        world=world,
        repeat=repeat + (fit_repeat if parameters else 0),
        settings=Settings(speed=speed or None, seed=seed, cluster=cluster_settings(world, where)),
    )
    fit_to = fit_repeat if parameters else 0
    calibrate_and_print(
        wanted, parameters, fit_to, journals=journals, keep=keep, runs=runs, output=output, quiet=quiet, html=html
    )
