"""`completion`: the script that has a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from camtrail.cli.main import PROGRAM, SETTINGS, cli

__all__ = ["completion"]

_SHELLS = ("bash", "zsh", "fish")

_ABOUT = """Print the script that has SHELL complete verbs, groups, options and their choices.

\b
  bash  echo 'eval "$(camtrail completion bash)"' >> ~/.bashrc
  zsh   echo 'eval "$(camtrail completion zsh)"' >> ~/.zshrc
  fish  camtrail completion fish > ~/.config/fish/completions/camtrail.fish

It works in shells that are started afterwards.
"""


@click.command("completion", help=_ABOUT, context_settings=SETTINGS)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """The script of a shell."""
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
