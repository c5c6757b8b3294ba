"""`rolloutlab schedule`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from rolloutlab.cli import options
from rolloutlab.cli.cluster_options import cluster_settings
from scenarios.outcome import OUTCOMES

if TYPE_CHECKING:
    from chaos.cluster.settings import ClusterSettings

_SHORTEST_SECONDS: Final = 300
_LONGEST_SECONDS: Final = 6 * 3600


@click.command()
@options.scenario_argument
@click.option("--strategy", required=True, metavar="NAME", help="Which strategy of the file.")
@click.option("--cron", required=True, metavar="EXPRESSION",
              help="When: minute, hour, day of month, month, day of week, as '0 10 * * 2'; or a word such "
              "as @daily.")  # fmt: skip
@click.option("--timezone", default="UTC", show_default=True, metavar="NAME",
              help="Whose time that is, as Europe/Berlin.")  # fmt: skip
@click.option("--name", metavar="NAME", help="Of the objects.  [default: scenario and strategy]")
@click.option("--runner-image", default="rolloutlab.local/runner:1", show_default=True, metavar="NAME",
              help="Image with rolloutlab in it, which runs the drill.")  # fmt: skip
@click.option("--deadline", default="40m", show_default=True, metavar="DURATION",
              help="Kubernetes ends a drill after this; it ends itself after 30 minutes.")  # fmt: skip
@click.option("--namespace", metavar="NAME", envvar="ROLLOUTLAB_NAMESPACE", show_envvar=True,
              help="Where drills work; it must be labelled rolloutlab/allowed=true.  "
              "[default: rolloutlab-drills]")  # fmt: skip
@click.option("--image", metavar="NAME", help="Of the application under test.  [default: rolloutlab.local/app:1]")
@click.option("--gateway", metavar="NAMESPACE/NAME", help="The Gateway that routes; give its --address as well.")
@click.option("--address", metavar="IP:PORT", help="Where the Gateway is reached from inside the cluster.")
@click.option("--routing", type=click.Choice(["gateway", "service"]), default=None,
              help="service: no router, weights are kept by the number of pods.  "
              "[default: gateway where one is named]")  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "chaos-mesh"]), default=None,
              help="What puts faults into pods from outside.  [default: auto]")  # fmt: skip
@click.option("--fault", "faults", multiple=True, metavar="KIND[:NAME=VALUE,...]",
              help="Also do this to pods, as pod_kill:on=stable,from=10s; repeatable.")  # fmt: skip
@click.option("--expect", type=click.Choice(OUTCOMES), default=None,
              help="What should become of the rollout, in place of what the file expects.")  # fmt: skip
@click.option("--metrics-url", metavar="URL", help="A Prometheus that answers the strategy's questions, in real time.")
@click.option("--variant", metavar="NAME", help="This variant of the file.")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE",
              help="Change one value, as service.replicas=4; repeatable.")  # fmt: skip
@options.binding_options
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True,
              help="json: one List, which kubectl takes as well.")  # fmt: skip
def command(
    scenario: str,
    strategy: str,
    cron: str,
    timezone: str,
    name: str | None,
    runner_image: str,
    deadline: str,
    faults: tuple[str, ...],
    expect: str | None,
    metrics_url: str | None,
    variant: str | None,
    changes: tuple[str, ...],
    bindings: tuple[str, ...],
    strict: bool,
    output: str,
    **given: Any,
) -> None:
    """Print what a cluster needs to run a drill of SCENARIO at set times; nothing is applied.

    It is a CronJob with the account that it runs as, the Role of this account in the namespace of the drills and in no
    other, the scenario with the files that it names, and a second CronJob that clears what a killed drill left. The
    server has the last word on the cron expression: kubectl apply --dry-run=server -f - asks it.
    """
    from rolloutlab.cli.faulting import faults as checked_faults
    from rolloutlab.question import Asked, read
    from rolloutlab.scheduling import manifests, text, times
    from rolloutlab.scheduling.bundle import bundle
    from scenarios.library import find

    settings = cluster_settings("cluster", given)
    assert settings is not None
    overrides = options.overrides(changes)
    bind = options.bound(bindings)
    checked_faults(faults)
    checked = times.checked_cron(cron), times.checked_zone(timezone)
    path = find(scenario)
    files = bundle(path, overrides)
    asked = Asked(
        path=path,
        variant=variant,
        variants=False,
        overrides=overrides,
        strategies=(strategy,),
        bind=bind,
        strict=strict,
    )
    (question,) = read(asked)
    routing = _routing(settings)
    words = ["--strategy", strategy, "--world", "cluster", "--namespace", settings.namespace, "--routing", routing]
    words += _used(settings)
    words += [word for fault in faults for word in ("--fault", fault)]
    words += ["--expect", expect] if expect else []
    words += ["--metrics-url", _url(metrics_url)] if metrics_url else []
    words += ["--variant", variant] if variant is not None else []
    words += [word for change in changes for word in ("--set", change)]
    words += [word for binding in bindings for word in ("--bind", binding)]
    words += ["--strict"] if strict else []
    wanted = manifests.Timetable(
        name=_name(name, path.stem, strategy),
        namespace=settings.namespace,
        cron=checked[0],
        zone=checked[1],
        drill=[*words, "--quiet", "-o", "json"],
        bundle=files,
        image=runner_image,
        deadline_seconds=_seconds(deadline),
    )
    made = manifests.objects(wanted)
    for warning in question.warnings:
        click.echo(f"warning: {warning}", err=True)
    if output == "json":
        click.echo(text.one_list(made))
    else:
        click.echo(text.documents(made, head=_head(wanted)), nl=False)


def _routing(settings: ClusterSettings) -> str:
    """Who keeps the weights: nothing may be looked for in a cluster by an account that sees one namespace only."""
    from scenarios.errors import ScenarioError

    named = bool(settings.gateway and settings.address)
    if not named and (settings.routing == "gateway" or settings.gateway or settings.address):
        problem = "expected both --gateway NAMESPACE/NAME and --address IP:PORT: a Job may not look for them"
        raise ScenarioError(problem, field="--gateway")
    if settings.routing == "auto" and not named:
        said = "no --gateway and --address: weights go by the number of pods (--routing service)"
        click.echo(f"warning: {said}", err=True)
        return "service"
    return "gateway" if settings.routing == "auto" else settings.routing


def _used(settings: ClusterSettings) -> list[str]:
    """How the cluster is used, as the drill is told it; what is as its default is left out."""
    from chaos.cluster.settings import ClusterSettings

    usual = ClusterSettings()
    given = [(name, getattr(settings, name)) for name in ("image", "gateway", "address", "engine")]
    return [word for name, value in given if value != getattr(usual, name) for word in (f"--{name}", value)]


def _url(text: str) -> str:
    from chaos.metrics.prometheus import check_url
    from scenarios.errors import ScenarioError

    try:
        check_url(text)
    except ValueError as error:
        raise ScenarioError(str(error), field="--metrics-url") from None
    return text


def _name(given: str | None, scenario: str, strategy: str) -> str:
    import re

    from rolloutlab.scheduling.manifests import LONGEST_NAME, name_of
    from scenarios.errors import ScenarioError

    if given is None:
        return name_of(scenario, strategy)
    if len(given) > LONGEST_NAME or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", given):
        expected = f"at most {LONGEST_NAME} of a-z, 0-9 and - (not first, not last)"
        raise ScenarioError(expected=expected, got=given, field="--name")
    return given


def _seconds(text: str) -> int:
    from scenarios.errors import ScenarioError
    from scenarios.units import duration

    try:
        seconds = duration(text)
    except ValueError as error:
        raise ScenarioError(str(error), field="--deadline") from None
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise ScenarioError(expected="5m to 6h", got=text, field="--deadline")
    return round(seconds)


def _head(wanted: Any) -> str:
    """How to use what follows, as a comment above it."""
    from rolloutlab.text import safe

    name, space = wanted.name, wanted.namespace
    return f"""\
{safe(options.typed())}

try:      kubectl apply --dry-run=server -f THIS
apply:    kubectl apply -f THIS
allow:    kubectl label namespace {space} rolloutlab/allowed=true
now:      kubectl create job --namespace {space} --from cronjob/{name}-drill {name}-now
stop all: kubectl create configmap rolloutlab-stop --namespace {space}
remove:   kubectl delete --namespace {space} -l rolloutlab/schedule={name} \
cronjob,job,configmap,rolebinding,role,serviceaccount"""
