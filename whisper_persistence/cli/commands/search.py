"""The ``search`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"WORDS...": "What to look for; plain words, no query syntax."},
    examples=(
        'whisper-persistence search "small boat" --user alice',
        'whisper-persistence search "exam" --conversation channel-7 --since 2026-01-01 --json',
    ),
)
@click.argument("words", nargs=-1, required=True)
@click.option("--user", metavar="ID", help="Only messages that concern this user.")
@click.option("--conversation", metavar="ID", help="Only messages of this conversation.")
@click.option("--author", metavar="ID", help="Only messages by this author.")
@click.option("--since", type=click.DateTime(), help="Only messages from this time on (UTC).")
@click.option("--until", type=click.DateTime(), help="Only messages before this time, in UTC.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="Show at most this many hits.")
@click.option(
    "--context", default=2, show_default=True, type=click.IntRange(0), help="Show this many messages around each hit."
)
@as_json_option
@click.pass_obj
def search(overrides: dict[str, Any], /, words: tuple[str, ...], *, as_json: bool, **filters: Any) -> None:
    """Search messages by their words, and by meaning if a driver such as chroma-recall is chosen."""
    from whisper_persistence.cli.searching import describe_result, find, print_result, to_query

    text = " ".join(words)
    if not text.strip():
        raise click.UsageError("name at least one word to look for")
    query = to_query(text, filters)
    with open_store(overrides) as store:
        result = find(store, query)
    print_json(describe_result(result)) if as_json else print_result(result, query)
