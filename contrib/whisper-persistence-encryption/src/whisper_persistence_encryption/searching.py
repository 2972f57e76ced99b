"""Search without an index: messages are opened and ranked by their words, as the in-memory store ranks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from whisper_persistence.clearing import first_shown
from whisper_persistence.errors import NotSupportedError
from whisper_persistence.fusing import memory_of
from whisper_persistence.records import MemoryScore, Message, Page, ScoreQuery, SearchQuery, SearchResult, Window
from whisper_persistence.unindexed_search import Candidate, search_unindexed

_PAGE: Final = 500


class Opened(Protocol):
    """What opens messages: the driver itself."""

    def load_messages(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]] | None:
        """Return opened messages."""
        ...

    def load_scores(self, queries: Sequence[ScoreQuery]) -> Mapping[ScoreQuery, tuple[MemoryScore, ...]] | None:
        """Return opened scores."""
        ...

    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Return opened records."""
        ...


def search(opened: Opened, query: SearchQuery, limit: int) -> SearchResult:
    """Return the messages that fit a query by their words and those of their neighbours.

    Args:
        opened: what opens messages.
        query: what to look for.
        limit: how many messages may be opened.

    Raises:
        NotSupportedError: there are more.
        ValidationError: the cursor is not one of ours.
    """
    messages = _uncleared(opened, list(_readable(opened, query, limit)))
    ordered = sorted(messages, key=lambda message: (message.conversation_id, message.sequence or 0))
    seen = {(message.conversation_id, message.message_id): Candidate(message) for message in ordered}
    return search_unindexed(query, seen.values(), lambda found: _importance(opened, found), opened.load_messages)


def _importance(opened: Opened, messages: Sequence[Message]) -> list[float | None]:
    queries = [ScoreQuery(user_id, limit=_PAGE) for user_id in sorted({message.user_id for message in messages})]
    found = (opened.load_scores(queries) or {}) if queries else {}
    scores = {(score.user_id, score.memory_id): score.overall_score for listed in found.values() for score in listed}
    return [scores.get((message.user_id, memory_of(message))) for message in messages]


def _readable(opened: Opened, query: SearchQuery, limit: int) -> Iterator[Message]:
    talk = query.conversation_id
    found = _everywhere(opened) if talk is None else _back(opened, talk)
    for number, message in enumerate(found):
        if number >= limit:
            raise NotSupportedError(
                f"a search of sealed messages opens each of them, and there are more than {limit:,}: name a shorter "
                "conversation, or raise the search_limit of driver 'encryption'"
            )
        if query.user_id in (None, message.user_id) and not message.is_redacted():
            yield message


def _everywhere(opened: Opened) -> Iterator[Message]:
    cursor: str | None = None
    while True:
        page = opened.scan("messages", cursor, _PAGE)
        if page is None:
            return
        yield from page.records
        if (cursor := page.cursor) is None:
            return


def _back(opened: Opened, conversation_id: str) -> Iterator[Message]:
    before: int | None = None
    while True:
        window = Window(conversation_id, _PAGE, before)
        shown = (opened.load_messages([window]) or {}).get(window, ())
        yield from reversed(shown)
        if len(shown) < _PAGE:
            return
        before = shown[0].sequence


def _uncleared(opened: Opened, messages: Sequence[Message]) -> list[Message]:
    """Leave out what lies before its conversation's clear mark, which a scan shows and a window does not."""
    first = first_shown(opened.load_messages, (message.conversation_id for message in messages))
    return [
        message
        for message in messages
        if message.conversation_id in first and (message.sequence or 0) >= first[message.conversation_id]
    ]
