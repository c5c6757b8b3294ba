"""`rolloutlab doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import click

from rolloutlab.cli.cluster_options import cluster_options, cluster_settings

if TYPE_CHECKING:
    from chaos.cluster.settings import ClusterSettings
    from chaos.finding import Finding

_REFUSED: Final = 3
_ROLE: Final = "rolloutlab-drill"


@click.command()
@click.option("--world", type=click.Choice(["cluster", "local"]), default="cluster", show_default=True,
              help="Which drills are wanted: in a cluster, or with processes on this machine.")  # fmt: skip
@cluster_options
@click.option("--metrics-url", metavar="URL", help="A Prometheus that is to answer a strategy's questions.")
@click.option("--print-role", is_flag=True,
              help="Print the Role that drills need, bound to this account, and nothing else.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: every finding with its state.")  # fmt: skip
def command(
    world: Literal["cluster", "local"], metrics_url: str | None, print_role: bool, output: str, **given: Any
) -> None:
    """Say whether a drill can run, and of each thing that is missing what mends it. Nothing is changed.

    Looked at are the cluster (its version, clock, identity, namespace, what this account may do, Gateway, Chaos Mesh,
    Prometheus, image) and this machine. Exit codes: 0 a drill can run, 2 bad input, 3 it cannot.
    """
    import json

    from chaos import machine
    from chaos.finding import ready

    settings = cluster_settings(world, given)
    if print_role:
        click.echo(_role(settings), nl=False)
        return
    here = machine.findings(need_local=settings is None)  # first: the way to a cluster may lead into its network
    there = [] if settings is None else _cluster(settings, metrics_url or "")
    able = ready([*there, *here])
    if output == "json":
        parts = {"cluster": there, "machine": here}
        told = {
            "schema": 1,
            "command": "doctor",
            "inputs": {"world": world, **{name: value for name, value in given.items() if value is not None}},
            "ready": able,
            "findings": [{"part": part, **one.plain()} for part, found in parts.items() for one in found],
            "warnings": [],
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo(_text(settings, there, here))
    click.get_current_context().exit(0 if able else _REFUSED)


def _cluster(settings: ClusterSettings, metrics_url: str) -> list[Finding]:
    from chaos.finding import Finding
    from chaos.metrics.prometheus import check_url
    from scenarios.errors import ScenarioError

    if metrics_url:
        try:
            check_url(metrics_url)
        except ValueError as error:
            raise ScenarioError(str(error), field="--metrics-url") from None
    if _lacks_client():
        text, mend = "the Kubernetes client is not installed", "pip install 'rolloutlab[cluster]'"
        return [Finding(about="cluster", state="missing", text=text, mend=mend)]
    from chaos.cluster.doctor import examine

    return examine(settings, metrics_url=metrics_url)


def _text(settings: ClusterSettings | None, there: list[Finding], here: list[Finding]) -> str:
    """Sections of lines that begin with what they are about and a word for how it stands."""
    from chaos.finding import ready

    found = [*there, *here]
    wide = max(len(one.about) for one in found)
    lines = []
    for title, part in (("Cluster", there), ("This machine", here)):
        if part:
            lines += [title, *(line for one in part for line in _lines(one, wide)), ""]
    drill = "A drill on this machine" if settings is None else f"A drill in namespace {settings.namespace}"
    if ready(found):
        lines.append(f"{drill} can run.")
    else:
        lines.append(f"{drill} cannot run: {', '.join(one.about for one in found if one.state == 'missing')}.")
    return "\n".join(lines)


def _lines(one: Finding, wide: int) -> list[str]:
    from rolloutlab.text import safe

    lines = [f"  {one.about:<{wide}}  {one.state:<7}  {safe(' '.join(one.text.split()))}"]
    if one.mend:
        lines.append(f"  {'':<{wide}}  {'':<7}  > {safe(one.mend)}")
    return lines


def _lacks_client() -> bool:
    import importlib.util

    return importlib.util.find_spec("kubernetes") is None


def _role(settings: ClusterSettings | None) -> str:
    """A Role with what drills need in their namespace, and its binding to the account that asks."""
    if settings is None:
        raise click.UsageError("--print-role is about a cluster: leave --world local out")
    if _lacks_client():
        raise click.ClickException("doctor --print-role needs: pip install 'rolloutlab[cluster]'")
    from chaos.cluster.doctor import account
    from chaos.cluster.door import opened
    from chaos.cluster.rights import RIGHTS, binding, role
    from chaos.world import WorldError
    from rolloutlab.scheduling.text import documents
    from rolloutlab.text import safe

    try:
        name = account(opened(settings).kube)
    except WorldError as error:
        click.echo(f"refused: {safe(str(error))}", err=True)
        click.get_current_context().exit(_REFUSED)
    return documents([role(_ROLE, settings.namespace, RIGHTS), binding(_ROLE, settings.namespace, name)])
