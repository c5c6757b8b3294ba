"""What `drill` and `calibrate` do with their options: plan or run, print, write files, end with the exit code."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rolloutlab.cli import options
from rolloutlab.cli.targets import check_writable
from rolloutlab.text import safe

if TYPE_CHECKING:
    from chaos.plan import Settings
    from rolloutlab.drill.clearing import Cleared
    from rolloutlab.drill.door import Planned, Wanted
    from rolloutlab.drill.record import Record
    from rolloutlab.drill.result import Drills

REFUSED: Final = 3
#: what a world and its reports import
_COMMON: Final = ("aiohttp", "junitparser", "platformdirs", "prometheus_client")
_NEEDED: Final = {"local": (*_COMMON, "envoy"), "cluster": (*_COMMON, "kubernetes")}


@dataclass(frozen=True)
class Files:
    """Which files to write beside what is printed."""

    html: str | None = None
    junit: str | None = None
    journal: str | None = None
    prometheus: str | None = None

    def named(self) -> list[str]:
        """Those that were asked for."""
        return [name for name in (self.html, self.junit, self.journal, self.prometheus) if name is not None]

    def journals(self, count: int) -> list[Path]:
        """A name for each journal."""
        if self.journal is None:
            return []
        return [Path(self.journal if number == 1 else f"{self.journal}.{number}") for number in range(1, count + 1)]

    def write(self, result: Drills) -> list[str]:
        """Write them all; the names of what was written."""
        from rolloutlab.drill.files import write_whole

        written = []
        for record, path in zip(result.drills, self.journals(len(result.drills)), strict=False):
            from rolloutlab.drill import journal

            journal.write(record, path)
            written.append(str(path))
        if self.junit is not None:
            from rolloutlab.drill import junit

            write_whole(Path(self.junit), junit.xml(result.drills))
            written.append(self.junit)
        if self.prometheus is not None:
            from rolloutlab.drill import prometheus

            write_whole(Path(self.prometheus), prometheus.text(result.drills))
            written.append(self.prometheus)
        if self.html is not None:
            written.append(str(result.report(self.html)))
        return written


def need_world(command: str, world: str = "local") -> None:
    """The extra of a world is installed.

    Raises:
        ScenarioError: there is no such world.
        click.ClickException: it is not installed.
    """
    from scenarios.errors import pick

    _need(command, world, pick(world, _NEEDED, field="--world"))


def need_to_clear(command: str, world: str = "local") -> None:
    """The same for what ends or goes on with drills of any world: where none is named, what all of them need."""
    need_world(command, world) if world != "local" else _need(command, world, _COMMON)


def _need(command: str, world: str, modules: Sequence[str]) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        wanted = f"{command} needs: pip install 'rolloutlab[{world}]' (missing: {', '.join(missing)})"
        raise click.ClickException(wanted)


def settings_of(**given: Any) -> Settings:
    """Settings of a drill.

    Raises:
        ScenarioError: one of them cannot be used.
    """
    from chaos.plan import Settings
    from scenarios.errors import ScenarioError

    try:
        return Settings(**given)
    except ValueError as error:
        name, _, problem = str(error).partition(": ")
        raise ScenarioError(problem or name, field=name if problem else "the drill") from None


@contextmanager
def refusals() -> Iterator[None]:
    """What a world cannot do at all is one line and exit 3."""
    from chaos.world import WorldError

    try:
        yield
    except WorldError as error:
        click.echo(f"refused: {safe(str(error))}", err=True)
        click.get_current_context().exit(REFUSED)


def tried(ask: Callable[[], list[Cleared]]) -> tuple[list[Cleared], str]:
    """What was cleared in a cluster, and why that was refused, so that what was cleared here is told all the same."""
    from chaos.world import WorldError

    try:
        return ask(), ""
    except WorldError as error:
        return [], str(error)


def ended(refused: str, *, incomplete: bool) -> None:
    """End a clean-up: 4 where something is left, 3 where a cluster could not be cleared at all."""
    if refused:
        click.echo(f"refused: {safe(refused)}", err=True)
    click.get_current_context().exit(4 if incomplete else REFUSED if refused else 0)


def plan_and_print(wanted: Wanted, output: str) -> None:
    """Say what would be done; exit 3 when it would be refused."""
    from rolloutlab.drill.door import planned
    from rolloutlab.drill.plan import plan_document, plan_text

    found = planned(wanted)
    if output == "json":
        told = {"schema": 1, "command": "drill", "plan": [plan_document(one) for one in found]}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo("\n\n".join(map(plan_text, found)))
    click.get_current_context().exit(REFUSED if any(one.plan.problems for one in found) else 0)


def run_and_print(wanted: Wanted, files: Files, output: str, *, quiet: bool, assumptions: bool) -> None:
    """Run, write the files, print in the form asked for, and end with the exit code of the result."""
    from rolloutlab.drill.door import drill, planned
    from rolloutlab.drill.live import view

    plans = planned(wanted)
    again = _again(plans, seed=wanted.settings.seed)
    check_writable(*files.named())
    with refusals():
        result = drill(wanted, plans=plans, view=None if quiet else view(), signals=True, again=again)
    try:
        for name in files.write(result):
            click.echo(f"wrote {safe(name)}", err=True)
    except BaseException:  # what was measured is printed even where a file of it cannot be written
        _print(result, output, assumptions=assumptions)
        raise
    print_drills(result, output, assumptions=assumptions)


def print_drills(result: Drills, output: str, *, assumptions: bool = False) -> None:
    """Print in the form asked for, and end with the exit code of the result."""
    _print(result, output, assumptions=assumptions)
    for warning in result.warnings:
        click.echo(f"warning: {safe(warning)}", err=True)
    click.get_current_context().exit(result.exit_code)


def _print(result: Drills, output: str, *, assumptions: bool) -> None:
    from rolloutlab.drill.show import text_of
    from rolloutlab.grid import terminal

    if output == "json":
        click.echo(result.json())
    else:
        click.echo(text_of(result, assumptions=assumptions), color=True if terminal() else None)


def calibrate_and_print(
    wanted: Wanted,
    parameters: tuple[str, ...],
    fit_to: int,
    *,
    journals: tuple[str, ...],
    keep: str | None,
    runs: int,
    output: str,
    quiet: bool,
    html: str | None,
) -> None:
    """Do the drills, or read their journals; hold the model against them; print, and end with the exit code."""
    from rolloutlab.calibrate import check
    from rolloutlab.calibration import calibrated, text_of
    from rolloutlab.drill.door import planned
    from rolloutlab.grid import terminal
    from rolloutlab.question import Asked

    check(parameters)
    seed = wanted.settings.seed
    (first,) = planned(wanted)
    again = _again([first], runs=runs, seed=seed)
    if html is not None:
        check_writable(html)
    drills = _read_or_run(wanted, first, journals, keep, quiet=quiet, again=again)
    if not journals and len(drills.drills) <= fit_to:
        _too_few(drills.drills, wanted.repeat)
    asked = Asked(
        path=wanted.path,
        variant=wanted.variant,
        overrides=wanted.overrides,
        strategies=(first.plan.name,),
        bind=wanted.bind,
        strict=wanted.strict,
        allow_python=wanted.allow_python,
    )
    result = calibrated(
        asked,
        drills.drills,
        fit_to=fit_to,
        parameters=parameters,
        runs=runs,
        seed=seed,
        inputs=drills.inputs,
        again=again,
    )
    try:
        if html is not None:
            click.echo(f"wrote {safe(str(result.report(html)))}", err=True)
    finally:
        click.echo(result.json() if output == "json" else text_of(result), color=True if terminal() else None)
    for warning in result.warnings:
        click.echo(f"warning: {safe(warning)}", err=True)
    click.get_current_context().exit(result.exit_code)


def _too_few(drills: Sequence[Record], wanted: int) -> None:
    """A drill ended the series before there was anything to judge: say which and why, and end as it did."""
    last = drills[-1]
    why = f"{last.verdict}: {last.reasons[0]}" if last.reasons else last.verdict
    said = f"{len(drills)} of {wanted} drills, too few to calibrate by: the last one was {why}"
    click.echo(f"calibrate: {safe(said)}", err=True)
    click.get_current_context().exit(last.exit_code)


def _again(plans: Sequence[Planned], **defaults: object) -> str:
    """The command as it was typed, with the speed that was chosen for this machine."""
    speeds = {one.plan.speed for one in plans}
    chosen = {"speed": f"{speeds.pop():g}"} if len(speeds) == 1 else {}
    return options.typed(**chosen, **defaults)


def _read_or_run(
    wanted: Wanted, first: Planned, journals: tuple[str, ...], keep: str | None, *, quiet: bool, again: str
) -> Drills:
    """The drills of journals, or new ones, each of which is written down as soon as it is there."""
    from rolloutlab.drill import journal
    from rolloutlab.drill.door import drill
    from rolloutlab.drill.live import view
    from rolloutlab.drill.result import load

    if journals:
        found = load(*journals)
        found.inputs = {"journals": list(journals)}
        return found
    folder = Path(keep) if keep is not None else None
    if folder is not None:
        check_writable(folder / "drill-001.json")

    def done(record: Record, number: int) -> None:
        if folder is not None:
            journal.write(record, folder / f"drill-{number + 1:03}.json")

    with refusals():
        shown = None if quiet else view()
        return drill(wanted, plans=[first], view=shown, signals=True, again=again, done=done)
