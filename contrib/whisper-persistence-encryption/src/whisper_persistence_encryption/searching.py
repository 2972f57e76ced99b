"""Search without an index: messages are opened and ranked by their words, as the in-memory store ranks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from whisper_persistence.errors import NotSupportedError
from whisper_persistence.fusing import Weights, memory_of, page, shortlist, surround
from whisper_persistence.neighbours import next_place
from whisper_persistence.ranking import Turn, rank, rarity
from whisper_persistence.records import (
    MemoryScore,
    Message,
    Page,
    ScoreQuery,
    SearchHit,
    SearchQuery,
    SearchResult,
    Window,
)
from whisper_persistence.words import content_words, stem, stems

_PAGE: Final = 500
_MOST_WORDS: Final = 64
_ANSWERED: Final = ("text",)

Key = tuple[str, str]


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
    words = {word: stem(word) for word in list(dict.fromkeys(content_words(query.text)))[:_MOST_WORDS]}
    messages = {_key(message): message for message in _uncleared(opened, list(_readable(opened, query, limit)))}
    turns = _turns(sorted(messages.values(), key=lambda message: (message.conversation_id, message.sequence or 0)))
    counted = Counter(word for turn in turns for word in set(words.values()).intersection(turn.words))
    rarities = {word: rarity(len(turns), count) for word, count in counted.items()}
    shares = rank(turns, rarities)
    wanted = shares.keys() if query.among is None else set(query.among) & messages.keys()
    fits = {key: shares.get(key, 0.0) for key in wanted if _wanted(messages[key], query)}
    found = [messages[key] for key in shortlist(fits, query, Weights())]
    worth = _importance(opened, found)
    hits = [SearchHit(message, 0.0, {"text": fits[_key(message)], **worth[_key(message)]}) for message in found]
    best, cursor = page(hits, _ANSWERED, Weights(), query)
    shown = surround(best, query, lambda windows: opened.load_messages(windows) or {})
    known = {word: rarities[stemmed] for word, stemmed in words.items() if stemmed in rarities}
    return SearchResult(shown, _ANSWERED, cursor=cursor, rarity=known)


def _key(message: Message) -> Key:
    return (message.conversation_id, message.message_id)


def _turns(messages: Sequence[Message]) -> list[Turn]:
    """Return what ranking knows of messages, which come by conversation and sequence."""
    latest: dict[Key, tuple[int, Message]] = {}
    turns: list[Turn] = []
    for message in messages:
        stream = (message.conversation_id, message.user_id)
        before = latest.get(stream)
        place = 0 if before is None else next_place(before[0], before[1].timestamp, message.timestamp)
        latest[stream] = (place, message)
        names = stems(message.author_name or message.author_id)
        turns.append(Turn(_key(message), stream, place, stems(message.content), names))
    return turns


def _importance(opened: Opened, messages: Sequence[Message]) -> dict[Key, dict[str, float]]:
    queries = [ScoreQuery(user_id, limit=_PAGE) for user_id in sorted({message.user_id for message in messages})]
    found = (opened.load_scores(queries) or {}) if queries else {}
    scores = {
        (query.user_id, score.memory_id): score.overall_score for query, listed in found.items() for score in listed
    }
    valued = {_key(message): scores.get((message.user_id, memory_of(message))) for message in messages}
    return {key: {} if score is None else {"importance": score} for key, score in valued.items()}


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


def _wanted(message: Message, query: SearchQuery) -> bool:
    return (
        query.author_id in (None, message.author_id)
        and (query.since is None or message.timestamp >= query.since)
        and (query.until is None or message.timestamp < query.until)
    )


def _uncleared(opened: Opened, messages: Sequence[Message]) -> list[Message]:
    """Leave out what lies before its conversation's clear mark, which a scan shows and a window does not."""
    windows = {talk: Window(talk, 1, after=0) for talk in {message.conversation_id for message in messages}}
    shown = (opened.load_messages(list(windows.values())) or {}) if windows else {}
    first = {talk: shown[window][0].sequence or 0 for talk, window in windows.items() if window in shown}
    return [
        message
        for message in messages
        if message.conversation_id in first and (message.sequence or 0) >= first[message.conversation_id]
    ]
