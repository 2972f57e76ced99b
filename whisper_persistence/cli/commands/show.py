"""The ``show`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"USER": "The user's id."},
    examples=(
        "whisper-persistence show alice",
        "whisper-persistence --namespace elena show alice --conversation channel-7 --json",
    ),
)
@click.argument("user")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Show at most this many messages.")
@click.option("--conversation", multiple=True, metavar="ID", help="Look only in this conversation; repeatable.")
@as_json_option
@click.pass_obj
def show(overrides: dict[str, Any], user: str, limit: int, conversation: tuple[str, ...], as_json: bool) -> None:
    """Show what is stored about a user: strategy, statistics, patterns, preferences, newest messages."""
    from whisper_persistence import codec
    from whisper_persistence.cli.profile import print_profile
    from whisper_persistence.operations import load_profile

    with open_store(overrides) as store:
        profile = load_profile(store, user, limit, conversation)
    print_json(codec.to_mapping(profile)) if as_json else print_profile(profile)
