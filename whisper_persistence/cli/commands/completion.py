"""The ``completion`` command."""

from __future__ import annotations

import click

from whisper_persistence.cli.commands.common import as_json_option, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"SHELL": "The shell to print it for."},
    environment={},
    examples=(
        "whisper-persistence completion bash > ~/.local/share/bash-completion/completions/whisper-persistence",
        'whisper-persistence completion zsh > "${fpath[1]}/_whisper-persistence"',
        "whisper-persistence completion fish > ~/.config/fish/completions/whisper-persistence.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@as_json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, *, as_json: bool) -> None:
    """Print a script that makes a shell complete commands and options."""
    from click.shell_completion import get_completion_class

    program = get_completion_class(shell)
    if program is None:
        raise click.ClickException(f"there is no completion for {shell}")
    root = ctx.find_root()
    script = program(root.command, {}, "whisper-persistence", "_WHISPER_PERSISTENCE_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
        return
    click.echo(script)
