"""Help in the form of a manual page: what a command does, its arguments, options, exit codes, environment, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

#: Environment variables that every command reads; they override a settings file, and options override them.
SETTINGS: Final[Mapping[str, str]] = {
    "WHISPER_PERSISTENCE_CONFIG": "The TOML file with the settings; --config overrides it.",
    "WHISPER_PERSISTENCE_URL": "Where the memory is kept; --url overrides it.",
    "WHISPER_PERSISTENCE_NAMESPACE": "The bot or character; --namespace overrides it.",
    "WHISPER_PERSISTENCE_DRIVERS": "Names of drivers, separated by commas; the first is asked first.",
    "WHISPER_PERSISTENCE_<DRIVER>_<OPTION>": "An option of a driver, such as WHISPER_PERSISTENCE_SQLITE_PATH.",
    "XDG_DATA_HOME": "Where the memory is kept by default; ~/.local/share if not set.",
}
#: Where commands keep notes of their own.
STATE: Final[Mapping[str, str]] = {"XDG_STATE_HOME": "Where this command keeps its notes; ~/.local/state if not set."}

_ERROR: Final = "An error, described in one line on standard error"


class Command(click.Command):
    """A command whose help is a manual page."""

    def __init__(
        self,
        *given: Any,
        arguments: Mapping[str, str] | None = None,
        fails: str = "",
        environment: Mapping[str, str] = SETTINGS,
        examples: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """Make a command as click does, with the further sections of its manual page.

        Args:
            *given: what click takes.
            arguments: what each argument is, by its name in the usage line.
            fails: what makes the exit code 1, apart from an error.
            environment: which environment variables it reads, and what for.
            examples: lines to type.
            **options: what click takes.
        """
        super().__init__(*given, **options)
        self.arguments = arguments or {}
        self.fails = fails
        self.environment = environment
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, and the options below them."""
        _write_list(formatter, "Arguments", self.arguments)
        super().format_options(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write exit codes, environment and examples."""
        asks = any(parameter.name == "yes" for parameter in self.params)
        reasons = [_ERROR, *filter(None, [self.fails]), *(["the confirmation was declined"] if asks else [])]
        write_rest(formatter, "; or ".join(reasons), self.environment, self.examples)


def write_rest(
    formatter: click.HelpFormatter, error: str, environment: Mapping[str, str], examples: Sequence[str]
) -> None:
    """Write the last sections of a manual page; each example on one line, however long."""
    _write_list(formatter, "Exit codes", {"0": "Done.", "1": f"{error}.", "2": "Wrong usage; nothing was done."})
    _write_list(formatter, "Environment", environment)
    with formatter.section("Examples"):
        for line in examples:
            formatter.write(f"  {line}\n")


def _write_list(formatter: click.HelpFormatter, title: str, told: Mapping[str, str]) -> None:
    if told:
        with formatter.section(title):
            formatter.write_dl(list(told.items()))
