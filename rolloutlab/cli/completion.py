"""`rolloutlab completion`."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    bash: `source <(rolloutlab completion bash)` in ~/.bashrc; zsh: the same in ~/.zshrc after compinit; fish:
    `rolloutlab completion fish > ~/.config/fish/completions/rolloutlab.fish`.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "rolloutlab", "_ROLLOUTLAB_COMPLETE").source())
