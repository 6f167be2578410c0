"""`pgqueue completion`: click brings the scripts, this says where they go."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pgqueue.cli._errors import CliError
from pgqueue.cli._options import common, examples


@click.command(
    short_help="Print the completion script of a shell.",
    epilog=examples(
        'eval "$(pgqueue completion bash)"                                  # in ~/.bashrc',
        'eval "$(pgqueue completion zsh)"                                   # in ~/.zshrc, after compinit',
        "pgqueue completion fish > ~/.config/fish/completions/pgqueue.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands and options of pgqueue. bash must be 4.4 or newer."""
    from pgqueue.cli._main import cli

    made = get_completion_class(shell)
    if made is None:
        raise CliError(f"this version of click has no completion for {shell}", "Upgrade click.")
    click.echo(made(cli, {}, "pgqueue", "_PGQUEUE_COMPLETE").source())
