"""The ``sources`` and ``rollback`` commands: where words came from, on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from itertools import chain, islice
from typing import Any

from rich.console import Console
from rich.table import Table

from whisper_persistence import codec
from whisper_persistence.cli.profile import visible
from whisper_persistence.operations import Report, RollbackReport, SourceCount, SourceQuery, find_messages, list_sources
from whisper_persistence.records import Durability, Message
from whisper_persistence.store import Store

Found = tuple[SourceCount, ...] | tuple[Message, ...]


def to_query(source: str | None, filters: Mapping[str, Any]) -> SourceQuery:
    """Return which messages the command's arguments mean; times without a zone are in UTC."""
    since = filters["since"] and filters["since"].replace(tzinfo=UTC)
    return SourceQuery(source, filters["trust"], filters["user"], since)


def look(store: Store, query: SourceQuery, limit: int, report: Report) -> Found:
    """Return what there is of each source, or, where one is named, the first messages of it."""
    if query.source is None:
        return list_sources(store, query, report)
    return tuple(islice(chain.from_iterable(find_messages(store, query, report)), limit))


def describe(found: Found) -> list[dict[str, Any]]:
    """Return what was found as JSON data."""
    return [codec.to_mapping(one) for one in found]


def show(found: Found) -> None:
    """Print what was found."""
    console = Console(highlight=False, soft_wrap=True)
    messages = [one for one in found if isinstance(one, Message)]
    if not found:
        console.print("nothing is kept that came from there")
    elif messages:
        _print_table(console, ("when", "trust", "conversation", "user", "message", "said"), map(_message, messages))
    else:
        counts = (_count(one) for one in found if isinstance(one, SourceCount))
        _print_table(console, ("source", "trust", "messages", "conversations", "first", "last"), counts)


def show_rollback(done: RollbackReport) -> None:
    """Print how many messages lost their words, or would."""
    verb = "would lose" if done.dry_run else "lost"
    waits = done.durability is Durability.JOURNALED
    later = "; some of it waits in a journal, and is brought in when the database answers" if waits else ""
    Console(highlight=False, soft_wrap=True).print(
        f"{done.messages:,} messages in {done.conversations:,} conversations of {done.users:,} users {verb} their "
        f"words{later}"
    )


def _print_table(console: Console, columns: tuple[str, ...], rows: Any) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(visible, row))
    console.print(table)


def _message(one: Message) -> tuple[str, ...]:
    when = f"{one.timestamp:%Y-%m-%d %H:%M}"
    return when, one.trust, one.conversation_id, one.user_id, one.message_id, one.content


def _count(one: SourceCount) -> tuple[str, ...]:
    first, last = f"{one.oldest:%Y-%m-%d}", f"{one.newest:%Y-%m-%d}"
    return one.source or "(not told)", one.trust, f"{one.messages:,}", f"{one.conversations:,}", first, last
