"""The ``drivers`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    examples=(
        "whisper-persistence drivers",
        "whisper-persistence --config bot.toml drivers --json",
    ),
)
@as_json_option
@click.pass_obj
def drivers(overrides: dict[str, Any], as_json: bool) -> None:
    """List the installed drivers, which of them are chosen, and why."""
    from whisper_persistence.cli.listing import describe_drivers, print_drivers
    from whisper_persistence.settings import load_settings

    listing = describe_drivers(load_settings(**overrides))
    print_json(listing) if as_json else print_drivers(listing)
