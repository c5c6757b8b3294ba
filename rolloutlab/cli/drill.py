"""`rolloutlab drill`."""

from __future__ import annotations

from typing import Any

import click

from rolloutlab.cli import options
from rolloutlab.cli.cluster_options import cluster_options, cluster_settings
from scenarios.outcome import OUTCOMES


class Speed(click.ParamType[float]):
    """Scenario seconds per real second, or `auto`."""

    name = "auto|N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """0 stands for `auto`."""
        words = str(value).strip().removesuffix("x")
        if words == "auto":
            return 0.0
        try:
            speed = float(words)
        except ValueError:
            speed = 0.0
        if not 0.01 <= speed <= 10_000:
            self.fail(f"expected auto, or scenario seconds per real second (0.01 to 10000), got {value!r}", param, ctx)
        return speed


@click.command()
@options.scenario_argument
@click.option("--strategy", "strategies", multiple=True, metavar="NAME",
              help="Which strategy; repeatable.  [default: the only one of the file]")  # fmt: skip
@click.option("--world", default="local", show_default=True, metavar="NAME",
              help="local: replicas are processes on this machine, an Envoy routes, no root, no Docker; "
              "cluster: pods of a Kubernetes cluster behind its Gateway.")  # fmt: skip
@click.option("--variant", metavar="NAME", help="This variant of the file.")
@click.option("--speed", type=Speed(), default="auto", show_default=True,
              help="Scenario seconds per real second; auto: about a minute of real time.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N",
              help="Drills of each strategy, with seeds that count up.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Root of what is drawn: arrivals, severity, start-up times.")  # fmt: skip
@click.option("--until-horizon", is_flag=True, help="Go on until the horizon, so that what counts until then is known.")
@click.option("--by-router", is_flag=True, help="Errors and delays come from Envoy's fault filter, not from the app.")
@click.option("--clients", type=click.IntRange(1, 2000), metavar="N",
              help="N clients that send, wait and send again, in place of the traffic of the file.")  # fmt: skip
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE",
              help="Change one value, as service.replicas=4; repeatable.")  # fmt: skip
@click.option("--guard", "guards", multiple=True, metavar="NAME=VALUE",
              help="Hard limit that takes the rollout back: error_ratio (75%; off where the faults may fail every "
              "request), p99 (off), ready_replicas (off), wall (30m); VALUE may be off; repeatable.")  # fmt: skip
@options.binding_options
@click.option("--allow-python", is_flag=True, help="Run the Python code that the file names.")
@click.option("--fault", "faults", multiple=True, metavar="KIND[:NAME=VALUE,...]",
              help="Also do this to processes or pods, as pod_kill:on=stable,from=10s; repeatable.")  # fmt: skip
@click.option("--expect", type=click.Choice(OUTCOMES), default=None,
              help="What should become of the rollout, in place of what the file expects.")  # fmt: skip
@click.option("--metrics-url", metavar="URL",
              help="A Prometheus that answers the strategy's questions, in real time.")  # fmt: skip
@cluster_options
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every drill with its timeline, traffic and steps.")  # fmt: skip
@options.assumptions_option
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr while it runs.")
@click.option("--html", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Also write a page that needs nothing else, with the timeline drawn.")  # fmt: skip
@click.option("--junit", type=click.Path(dir_okay=False, writable=True), metavar="FILE", help="Also write JUnit XML.")
@click.option("--journal", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Also write the journal in the Chaos Toolkit's format; of repeats FILE.2, FILE.3, …")  # fmt: skip
@click.option("--prometheus", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Also write Prometheus text, for a textfile collector.")  # fmt: skip
def command(
    scenario: str,
    strategies: tuple[str, ...],
    world: str,
    variant: str | None,
    speed: float,
    repeat: int,
    seed: int,
    until_horizon: bool,
    by_router: bool,
    clients: int | None,
    changes: tuple[str, ...],
    guards: tuple[str, ...],
    bindings: tuple[str, ...],
    strict: bool,
    allow_python: bool,
    only_plan: bool,
    output: str,
    assumptions: bool,
    quiet: bool,
    html: str | None,
    junit: str | None,
    journal: str | None,
    prometheus: str | None,
    faults: tuple[str, ...],
    expect: str | None,
    metrics_url: str | None,
    **where: Any,
) -> None:
    """Roll SCENARIO out for real, with its faults, and say when users were safe again.

    On this machine processes serve and Envoy routes; in a cluster pods serve and its Gateway routes. A load generator
    is the users. Exit codes: 0 pass, 1 an expectation fails, 2 bad
    input, 3 refused before anything happened, 4 something is left behind, 5 inconclusive, 130 interrupted.
    """
    from rolloutlab.cli.drilling import Files, need_world, plan_and_print, run_and_print, settings_of

    need_world("drill", world)
    from rolloutlab.cli.faulting import faults as extra_faults
    from rolloutlab.cli.guarding import limits
    from rolloutlab.drill.door import Wanted

    wanted = Wanted(
        path=scenario,
        strategies=strategies,
        variant=variant,
        overrides=options.overrides(changes),
        bind=options.bound(bindings),
        strict=strict,
        allow_python=allow_python,
        world=world,
        repeat=repeat,
        settings=settings_of(
            speed=speed or None,
            seed=seed,
            until_horizon=until_horizon,
            by_router=by_router,
            clients=clients,
            expect=expect or "",
            metrics_url=metrics_url or "",
            limits=limits(guards),
            extra=extra_faults(faults),
            cluster=cluster_settings(world, where),
        ),
    )
    if only_plan:
        plan_and_print(wanted, output)
    else:
        run_and_print(wanted, Files(html, junit, journal, prometheus), output, quiet=quiet, assumptions=assumptions)
