"""A group that imports a command when it is called, and turns expected errors into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from rolloutlab.text import safe


class LazyGroup(click.Group):
    """A group of commands that live in modules of their own; each module names its command `command`.

    Args:
        commands_at: name -> (module, help in the list of commands).
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = dict(commands_at or {})
        self.words: list[str] = []  #: the arguments of this call, to say how to repeat it

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which they are worth reading."""
        return [*self._commands_at, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        if cmd_name not in self._commands_at:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(self._commands_at[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing one."""
        rows = [(name, text) for name, (_, text) in self._commands_at.items()]
        rows += [(name, one.get_short_help_str()) for name, one in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, and an unknown name is answered with the nearest and all known."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            import difflib

            known = self.list_commands(ctx)
            near = difflib.get_close_matches(args[0], known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise click.UsageError(f"unknown command {args[0]!r}{hint} known: {', '.join(known)}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, standalone_mode: bool = True, **kwargs: Any) -> Any:  # type: ignore[override]
        """Run; an error of the user's is one line on stderr and exit 2, Ctrl-C is exit 130."""
        self.words = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **kwargs)
        try:
            code = super().main(args, standalone_mode=False, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(2)
        except click.ClickException as error:
            command = f"{error.ctx.command_path}: " if isinstance(error, click.UsageError) and error.ctx else ""
            _say(command + error.format_message())
            sys.exit(2)
        except click.Abort:
            click.echo("interrupted before there was a result", err=True)
            sys.exit(130)
        except Exception as error:
            if not is_users(error):
                raise
            _say(str(error))
            sys.exit(2)
        sys.exit(code if isinstance(code, int) else 0)


def _say(problem: str) -> None:
    for line in problem.splitlines():
        click.echo(f"error: {safe(line)}", err=True)


def is_users(error: Exception) -> bool:
    """Whether an error speaks of what the user gave, rather than of a bug of ours."""
    if isinstance(error, OSError):
        return error.errno not in (errno.EPIPE, None)
    from scenarios.errors import ScenarioError
    from strategies.drive import StrategyError

    return isinstance(error, ScenarioError | StrategyError)
