"""The options that say which cluster, for every command that works in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from rolloutlab.cli.options import _with

if TYPE_CHECKING:
    from chaos.cluster.settings import ClusterSettings

_REACH: Final = (
    click.option("--kubeconfig", type=click.Path(dir_okay=False), metavar="FILE",
                 help="[default: KUBECONFIG, else the native node of `make cluster-up`, else kubectl's own]"),
    click.option("--context", metavar="NAME", help="Of the kubeconfig.  [default: its current one]"),
    click.option("--namespace", metavar="NAME", envvar="ROLLOUTLAB_NAMESPACE", show_envvar=True,
                 help="Where everything is made; it must be labelled rolloutlab/allowed=true.  "
                 "[default: rolloutlab-drills]"),
    click.option("--identity", metavar="UID", envvar="ROLLOUTLAB_IDENTITY", show_envvar=True,
                 help="Refuse any cluster whose namespace kube-system has another uid."),
)  # fmt: skip
_USE: Final = (
    click.option("--image", metavar="NAME",
                 help="Of the application under test.  [default: rolloutlab.local/app:1]"),
    click.option("--gateway", metavar="NAMESPACE/NAME", help="The Gateway that routes.  [default: the only one]"),
    click.option("--address", metavar="IP:PORT",
                 help="Where the Gateway is reached from here.  [default: what it says of itself]"),
    click.option("--router-metrics", metavar="URL",
                 help="What Traefik exports, for measures of the router.  [default: the native node's]"),
    click.option("--routing", type=click.Choice(["auto", "gateway", "service"]), default=None,
                 help="service: no router, weights are kept by the number of pods.  [default: auto]"),
    click.option("--engine", type=click.Choice(["auto", "native", "chaos-mesh"]), default=None,
                 help="What puts faults into pods from outside; auto: Chaos Mesh, on the native node its own."),
    click.option("--observe-only", "observe", metavar="KIND/NAME",
                 help="Watch a deployment/NAME or rollout/NAME that somebody else rolls out; needs --address."),
    click.option("--host", metavar="NAME", help="With --observe-only: the Host that requests bear."),
    click.option("--version-header", metavar="NAME",
                 help="With --observe-only: the response header that tells revisions apart.  [default: x-version]"),
)  # fmt: skip
reach_options = _with(*_REACH)
cluster_options = _with(*_REACH, *_USE)


def cluster_settings(world: str, given: dict[str, Any]) -> ClusterSettings | None:
    """What the options say of a cluster; None for another world.

    Raises:
        ScenarioError: one of them cannot be used, or is given for a world that is none.
    """
    from chaos.cluster.settings import ClusterSettings
    from scenarios.errors import ScenarioError

    said = {name: value for name, value in given.items() if value is not None}
    if world != "cluster":
        environment = {"namespace", "identity"}  # may stand there for other commands
        for name in said.keys() - environment:
            raise ScenarioError(f"--{name} is of a cluster", expected="--world cluster", got=world, field="--world")
        return None
    try:
        return ClusterSettings(**said)
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        raise ScenarioError(problem, field=f"--{field}") from None
