"""The ``sources`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json, source_options
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"SOURCE": "List the messages that came from this source, instead of all sources."},
    examples=(
        "whisper-persistence sources",
        "whisper-persistence sources --trust untrusted --since 2026-01-01 --json",
        "whisper-persistence sources tool:weather --user alice",
    ),
)
@source_options
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Show at most this many messages.")
@as_json_option
@click.pass_obj
def sources(overrides: dict[str, Any], /, source: str | None, *, limit: int, as_json: bool, **filters: Any) -> None:
    """List where the stored messages came from, and how far they are trusted."""
    from whisper_persistence.cli import sourcing
    from whisper_persistence.cli.progress import show_progress

    query = sourcing.to_query(source, filters)
    with open_store(overrides) as store, show_progress(not as_json) as report:
        found = sourcing.look(store, query, limit, report)
    print_json(sourcing.describe(found)) if as_json else sourcing.show(found)
