"""Searching without an index: every message in a query's scope is read and ranked; nothing need be kept up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from whisper_persistence.dates import DatePart, asked_dates, dated
from whisper_persistence.fusing import Load, Weights, page, shortlist, surround
from whisper_persistence.neighbours import next_place
from whisper_persistence.ranking import Turn, rank, rarity
from whisper_persistence.records import Message, SearchHit, SearchQuery, SearchResult
from whisper_persistence.words import asked_words, stem, stems

_ANSWERED: Final = ("text",)


@attrs.frozen(eq=False)
class Candidate:
    """A message in the scope of a query.

    Attributes:
        message: the message; redacted ones are left out by the caller.
        cleared: whether a clear mark hides it; its words still tell how rare a word is.
    """

    message: Message
    cleared: bool = False


def search_unindexed(
    query: SearchQuery,
    candidates: Iterable[Candidate],
    importance: Callable[[Sequence[Message]], Sequence[float | None]],
    load: Load,
) -> SearchResult:
    """Return what a query finds among messages.

    Args:
        query: what to look for.
        candidates: every message of the query's user and conversation, by conversation, each in order of sequence.
        importance: the scores of messages as memories, 0 to 1, in their order; ``None`` for one that has none.
        load: the caller's ``load_messages``, for the turns around a hit.

    Raises:
        ValidationError: the query's cursor is not one.
    """
    words = {word: stem(word) for word in asked_words(query.text)}
    asked = frozenset(words.values())
    turns = list(_turns(candidates, asked, asked_dates(query.text)))
    counted = Counter(word for _, turn in turns for word in turn.counts)
    rarities = {word: rarity(len(turns), count) for word, count in counted.items()}
    visible = {turn.key: each.message for each, turn in turns if not each.cleared}
    shares = rank([turn for each, turn in turns if not each.cleared], asked, rarities)
    wanted = shares.keys() if query.among is None else set(query.among) & visible.keys()
    fits = {key: shares.get(key, 0.0) for key in wanted if _shows(query, visible[key])}
    found = shortlist(fits, query, Weights())
    worth = importance([visible[key] for key in found])
    hits = [_hit(visible[key], fits[key], value) for key, value in zip(found, worth, strict=True)]
    best, cursor = page(hits, _ANSWERED, Weights(), query)
    known = {word: rarities[stemmed] for word, stemmed in words.items() if stemmed in rarities}
    return SearchResult(surround(best, query, load), _ANSWERED, cursor=cursor, rarity=known)


def _turns(
    candidates: Iterable[Candidate], asked: frozenset[str], dates: Mapping[str, DatePart]
) -> Iterator[tuple[Candidate, Turn]]:
    """Yield what ranking knows of messages: their words, names, and places among those of the same user."""
    latest: dict[tuple[str, str], tuple[int, Message]] = {}
    for each in candidates:
        message = each.message
        stream = (message.conversation_id, message.user_id)
        before = latest.get(stream)
        place = 0 if before is None else next_place(before[0], before[1].timestamp, message.timestamp)
        latest[stream] = (place, message)
        key = (message.conversation_id, message.message_id)
        names = [*stems(message.author_name or message.author_id), *map(stem, dated(message.timestamp, dates))]
        yield each, Turn.of(key, stream, place, said=stems(message.content), asked=asked, names=names)


def _shows(query: SearchQuery, message: Message) -> bool:
    return (
        query.author_id in (None, message.author_id)
        and (query.since is None or message.timestamp >= query.since)
        and (query.until is None or message.timestamp < query.until)
    )


def _hit(message: Message, share: float, importance: float | None) -> SearchHit:
    worth = {} if importance is None else {"importance": importance}
    return SearchHit(message, 0.0, {"text": share, **worth})
