"""`relay completion`: lets the shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete `relay`.

    \b
    bash: eval "$(relay completion bash)"   in ~/.bashrc
    zsh:  eval "$(relay completion zsh)"    in ~/.zshrc, behind compinit
    fish: relay completion fish > ~/.config/fish/completions/relay.fish
    """
    of = get_completion_class(shell)
    if of is None:
        raise AssertionError(f"click completes {shell}")
    click.echo(of(context.find_root().command, {}, "relay", "_RELAY_COMPLETE").source())
