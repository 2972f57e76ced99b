"""What commands share: how their errors are shown, how they open the store, and how they print for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from whisper_persistence.cli.commands.ending import heeding_sigterm
from whisper_persistence.cli.commands.manual import SETTINGS, write_rest
from whisper_persistence.errors import PersistenceError
from whisper_persistence.records.conversations import Trust

if TYPE_CHECKING:
    from whisper_persistence.store import Store

#: The option of every command that prints something that machines may want to read.
as_json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

#: The option of every command that destroys something.
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")

#: Which messages `sources` and `rollback` mean.
_SOURCE_OPTIONS: Final = (
    click.argument("source", required=False),
    click.option("--trust", type=click.Choice(get_args(Trust)), help="Only messages with this degree of trust."),
    click.option("--user", metavar="ID", help="Only messages that concern this user; reads only those."),
    click.option("--since", type=click.DateTime(), help="Only messages from this time on, in UTC."),
)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and the options that say which messages it means."""
    for option in reversed(_SOURCE_OPTIONS):
        command = option(command)
    return command


class Group(click.Group):
    """Commands whose own errors are one line on standard error and exit code 1."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line; what a stream's encoding lacks is printed as escapes, not answered with a traceback."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        with heeding_sigterm():
            return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except PersistenceError as error:
            raise click.ClickException(" ".join(str(error).split())) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what holds for every command."""
        examples = ("whisper-persistence demo", "whisper-persistence --url sqlite:///memory.db show alice")
        write_rest(formatter, "An error, described in one line on standard error", SETTINGS, examples)


def open_store(overrides: dict[str, Any]) -> Store:
    """Return the store that settings and the options of the command line describe."""
    from whisper_persistence.store import Store

    return Store.from_settings(**overrides)


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether a destruction is meant, unless that was said already; anything but a yes ends the command."""
    if not yes:
        click.confirm(question, abort=True, err=True)


def check_answered(*, as_json: bool, dry_run: bool, yes: bool) -> None:
    """Refuse to print JSON where it would have to be asked first whether a destruction is meant."""
    if as_json and not (dry_run or yes):
        raise click.UsageError("--json cannot ask for confirmation: add --dry-run or --yes")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
