"""The ``search`` and ``reindex`` commands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whisper_persistence.cli.progress import show_status
from whisper_persistence.operations.reindexing import reindex, wait_for_indexes
from whisper_persistence.records import Message, SearchHit, SearchQuery, SearchResult
from whisper_persistence.store import Store
from whisper_persistence.words import content_words, split, stem


def to_query(text: str, filters: Mapping[str, Any]) -> SearchQuery:
    """Return the query that the command's arguments ask for; times without a zone are in UTC."""
    since, until = (
        None if moment is None else moment.replace(tzinfo=UTC) for moment in (filters["since"], filters["until"])
    )
    return SearchQuery(
        text,
        filters["user"],
        filters["conversation"],
        filters["author"],
        since,
        until,
        filters["limit"],
        filters["context"],
    )


def find(store: Store, query: SearchQuery) -> SearchResult:
    """Return what a query finds."""
    return store.search_messages([query])[query]


def describe_result(result: SearchResult) -> dict[str, Any]:
    """Return what was found as JSON data."""
    found: dict[str, Any] = msgspec.to_builtins(result)
    return found


def print_result(result: SearchResult, query: SearchQuery) -> None:
    """Print what was found, the words asked for highlighted, with the turns around each hit."""
    console = Console(highlight=False, soft_wrap=False)
    wanted = frozenset(map(stem, content_words(query.text)))
    table = Table("score", "when", "who", "said", box=None, header_style="bold", pad_edge=False)
    for hit in result.hits:
        for turn in hit.context or (hit.message,):
            table.add_row(*_row(hit, turn, wanted))
        table.add_section()
    if result.hits:
        console.print(table)
    ways = f"answered: {', '.join(result.answered)}" if result.answered else "no layer answered"
    silent = f"; silent: {', '.join(result.silent)}" if result.silent else ""
    console.print(Text(f"{len(result.hits)} found; {ways}{silent}", style="dim"))
    if result.cursor is not None:
        console.print(Text("there are more: raise --limit", style="dim"))


def _row(hit: SearchHit, turn: Message, wanted: frozenset[str]) -> tuple[Text, ...]:
    itself = turn.message_id == hit.message.message_id
    parts = ", ".join(f"{name} {value:.2f}" for name, value in hit.parts.items()) if itself else ""
    score = Text.assemble((f"{hit.score:.3f}" if itself else "", "bold"), (f"\n{parts}" if parts else "", "dim"))
    said = _highlighted(_plain(turn.content), wanted)
    if not itself:
        said.stylize("dim")
    who = Text(_plain(turn.author_name or turn.author_id), style="" if itself else "dim")
    return score, Text(f"{turn.timestamp:%Y-%m-%d %H:%M}", style="dim"), who, said


def _highlighted(content: str, wanted: frozenset[str]) -> Text:
    text = Text(content)
    for word in dict.fromkeys(split(content)):
        if stem(word) in wanted:
            text.highlight_words([word], style="bold reverse", case_sensitive=False)
    return text


def _plain(text: str) -> str:
    """Return a text without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def rebuild(store: Store, seconds: float, *, show_progress: bool) -> list[str]:
    """Build every search index anew, wait until it is done, and return the names of the drivers."""
    begun = reindex(store)
    with show_status("indexing", shown=show_progress) as left:
        wait_for_indexes(store, seconds, left)
    return begun
