"""Searching by words: every message in the scope of a query is looked at, so that nothing must be kept up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from whisper_persistence.codec import decoder
from whisper_persistence.fusing import Weights, memory_of, page, shortlist, surround
from whisper_persistence.neighbours import next_place
from whisper_persistence.ranking import Turn, rank, rarity
from whisper_persistence.records import Message, SearchHit, SearchQuery, SearchResult
from whisper_persistence.words import content_words, stem, stems
from whisper_persistence_drivers.memory.state import State
from whisper_persistence_drivers.memory.talk import load_messages

_ANSWERED: Final = ("text",)
_MOST_WORDS: Final = 64
_read = decoder(Message)

Key = tuple[str, str]


@attrs.frozen(eq=False)
class _Seen:
    """A message in the scope of a query, and what ranking knows of it."""

    message: Message
    turn: Turn
    cleared: bool


def search_messages(state: State, queries: Sequence[SearchQuery]) -> Mapping[SearchQuery, SearchResult]:
    """Return what each query finds."""
    return {query: _search(state, query) for query in queries}


def _search(state: State, query: SearchQuery) -> SearchResult:
    words = {word: stem(word) for word in list(dict.fromkeys(content_words(query.text)))[:_MOST_WORDS]}
    seen = list(_scope(state, query))
    counted = Counter(word for each in seen for word in set(words.values()).intersection(each.turn.words))
    rarities = {word: rarity(len(seen), count) for word, count in counted.items()}
    visible = {each.turn.key: each.message for each in seen if not each.cleared}
    shares = rank([each.turn for each in seen if not each.cleared], rarities)
    wanted = shares.keys() if query.among is None else set(query.among) & visible.keys()
    fits = {key: shares.get(key, 0.0) for key in wanted if _shows(query, visible[key])}
    hits = [_hit(state, visible[key], fits[key]) for key in shortlist(fits, query, Weights())]
    best, cursor = page(hits, _ANSWERED, Weights(), query)
    shown = surround(best, query, lambda windows: load_messages(state, windows))
    return SearchResult(
        shown, _ANSWERED, cursor=cursor, rarity={word: rarities[s] for word, s in words.items() if s in rarities}
    )


def _scope(state: State, query: SearchQuery) -> Iterator[_Seen]:
    """Return the messages of the query's user and conversation that have words, cleared ones too."""
    named = [query.conversation_id] if query.conversation_id is not None else list(state.conversations)
    for conversation_id in named:
        conversation = state.peek_conversation(conversation_id)
        latest: dict[str, tuple[int, Message]] = {}
        for sequence, row in conversation.messages.oldest(0):
            if query.user_id in (None, row.user_id):
                message = _read(row.text)
                if not message.is_redacted():
                    place = _place(latest.get(row.user_id), message)
                    latest[row.user_id] = (place, message)
                    yield _Seen(message, _turn(message, place), sequence <= conversation.cleared)


def _place(before: tuple[int, Message] | None, message: Message) -> int:
    return 0 if before is None else next_place(before[0], before[1].timestamp, message.timestamp)


def _turn(message: Message, place: int) -> Turn:
    key = (message.conversation_id, message.message_id)
    stream = (message.conversation_id, message.user_id)
    return Turn(key, stream, place, stems(message.content), stems(message.author_name or message.author_id))


def _shows(query: SearchQuery, message: Message) -> bool:
    return (
        query.author_id in (None, message.author_id)
        and (query.since is None or message.timestamp >= query.since)
        and (query.until is None or message.timestamp < query.until)
    )


def _hit(state: State, message: Message, share: float) -> SearchHit:
    scored = state.peek_user(message.user_id).scores.get(memory_of(message))
    return SearchHit(message, 0.0, {"text": share, **({"importance": scored.score} if scored else {})})
