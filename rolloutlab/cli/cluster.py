"""Options that say which cluster is meant and how it is used, for the commands that look at one or write for one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from chaos.cluster.settings import ClusterSettings

Command = TypeVar("Command", bound=Callable[..., Any])
_NAMESPACE: Final = "rolloutlab-drills"
_IMAGE: Final = "rolloutlab.local/app:1"

reach_options: Final = (
    click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
                 help="How the cluster is reached.  [default: as kubectl finds it, or the native node that is up]"),
    click.option("--context", metavar="NAME", help="A context of it.  [default: its current one]"),
    click.option("--identity", default="", metavar="UID",
                 help="The cluster must be this one: uid of its namespace kube-system."),
)  # fmt: skip
use_options: Final = (
    click.option("--namespace", "-n", default=_NAMESPACE, show_default=True, metavar="NAME",
                 help="Where drills work; it must be labelled rolloutlab/allowed=true."),
    click.option("--image", default=_IMAGE, show_default=True, metavar="NAME",
                 help="Image of the application under test."),
    click.option("--gateway", default="", metavar="NAMESPACE/NAME", help="The Gateway that routes."),
    click.option("--address", default="", metavar="IP:PORT", help="Where the Gateway is reached."),
    click.option("--routing", default="auto", show_default=True, metavar="auto|gateway|service",
                 help="Who keeps the weights: a Gateway, or the number of pods behind a Service."),
    click.option("--engine", default="auto", show_default=True, metavar="auto|native|chaos-mesh",
                 help="What does the faults that the application cannot do itself."),
    click.option("--prometheus", default="", metavar="URL",
                 help="A Prometheus that answers the strategy.  [default: pods are scraped by the drill]"),
    click.option("--observe", default="", metavar="KIND/NAME",
                 help="A deployment/NAME or rollout/NAME of yours, which is watched and not touched."),
)  # fmt: skip


def with_options(options: tuple[Callable[[Any], Any], ...]) -> Callable[[Command], Command]:
    """Give a command these options, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def settings_of(given: Mapping[str, Any]) -> ClusterSettings:
    """The options as settings.

    Raises:
        ScenarioError: one of them cannot be.
    """
    from chaos.cluster.settings import ClusterSettings
    from scenarios.errors import ScenarioError

    try:
        return ClusterSettings(**given)
    except ValueError as error:
        name, _, problem = str(error).partition(": ")
        raise ScenarioError(problem, field=f"--{name}") from None


def lacks_client() -> bool:
    """The Kubernetes client is not installed."""
    return importlib.util.find_spec("kubernetes") is None
