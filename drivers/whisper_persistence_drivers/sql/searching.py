"""Searching by words: what the index has and what the outbox still holds, ranked together.

Every acknowledged message is found: those that the index has not seen are read from the history and ranked like the
others. Nothing is shown that the history does not hold, or that a clear mark hides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from whisper_persistence.dates import DatePart, asked_dates, dated
from whisper_persistence.fusing import Weights, page, shortlist, surround
from whisper_persistence.ranking import Turn, rank, rarity
from whisper_persistence.records import SearchHit, SearchQuery, SearchResult
from whisper_persistence.words import asked_words, stem
from whisper_persistence_drivers.sql import gathering
from whisper_persistence_drivers.sql.marks import read_marks
from whisper_persistence_drivers.sql.session import Session, from_micros
from whisper_persistence_drivers.sql.terms import Key, TermRow, token
from whisper_persistence_drivers.sql.text_index import Scope, TextIndex
from whisper_persistence_drivers.sql.windows import load_messages

#: The part that this layer gives.
ANSWERED: Final = ("text",)
#: Where a scope has no more messages than this, all of them are read and no word is looked up: how long that takes does
#: not depend on what others wrote.
FEW: Final = 1_000
#: A query is ranked over at most so many messages that have a word of it; where there are more, over those with the
#: rarest words, the newest first.
_MOST_MATCHES: Final = 2_000
#: Words that more messages have are all taken to be as common as this.
_COUNTED: Final = 10_000
#: More messages are not counted to tell how rare a word is.
_MOST_COUNTED: Final = 100_000

#: A message, and what ranking knows of it.
_Looked: TypeAlias = tuple[TermRow, Turn]


@attrs.frozen
class _Asked:
    """What a query asks for.

    Attributes:
        tokens: the hashes of its words.
        dates: those that name a part of a date.
    """

    tokens: frozenset[str]
    dates: Mapping[str, DatePart]

    def look(self, row: TermRow) -> _Looked:
        """Return what ranking knows of a message, beside the message."""
        names = row.names.split(" ")
        if self.dates:
            names += dated(from_micros(row.written_at), self.dates)
        stream = (row.user_id, row.conversation_id)
        return row, Turn.of(row.key(), stream, row.place, said=row.words(), asked=self.tokens, names=names)


@attrs.frozen
class _Matches:
    """What has a word of a query.

    Attributes:
        rows: the messages.
        rarities: how rare each word is that some message has.
        scope: all messages of the scope, where they were read.
    """

    rows: Sequence[TermRow]
    rarities: Mapping[str, float]
    scope: Sequence[_Looked] | None = None


def search_messages(
    session: Session, queries: Sequence[SearchQuery], index: TextIndex, weights: Weights | None
) -> dict[SearchQuery, SearchResult]:
    """Return what each query finds, its score put together by these weights, or by the default."""
    with session.flavour.one_state(session):
        return {query: _search(session, query, index, weights or Weights()) for query in queries}


def _search(session: Session, query: SearchQuery, index: TextIndex, weights: Weights) -> SearchResult:
    words = asked_words(query.text)
    tokens = {word: token(session, stem(word)) for word in words}
    scope = Scope.of(query)
    dates = {tokens[word]: part for word, part in asked_dates(query.text).items() if word in tokens}
    asked = _Asked(frozenset(tokens.values()), dates)
    tail = gathering.read_tail(session, scope.wide())
    found = _match(session, index, asked, scope, tail)
    shares = _shares(session, query, asked, found, tail)
    hits = _hits(session, shares, shortlist(shares, query, weights))
    best, cursor = page(hits, ANSWERED, weights, query)
    shown = surround(best, query, lambda windows: load_messages(session, windows))
    rarities = {word: found.rarities[hashed] for word, hashed in tokens.items() if hashed in found.rarities}
    return SearchResult(shown, ANSWERED, cursor=cursor, rarity=rarities)


def _match(session: Session, index: TextIndex, asked: _Asked, scope: Scope, tail: Sequence[TermRow]) -> _Matches:
    """Return the messages of the scope that have a word, found by the index or not yet."""
    if not asked.tokens:
        return _Matches((), {})
    indexed = gathering.count_terms(session, scope.wide(), _MOST_COUNTED)
    few = indexed <= FEW
    tokens = sorted(asked.tokens)
    having = Counter[str]()
    if few:
        rows = gathering.read_terms(session, scope.wide(), FEW)
    else:
        rows = index.match(session, tokens, scope.wide(), _MOST_MATCHES + 1)
    if len(rows) > _MOST_MATCHES:
        having = _count_all(session, index, tokens, scope.wide())
        rows = index.match(session, _rarest(having), scope, _MOST_MATCHES)
    late = {row.key() for row in tail}
    both = [*(row for row in rows if row.key() not in late), *tail]
    looked = list(map(asked.look, both))
    matching = [row for row, turn in looked if turn.counts]
    told = looked[len(both) - len(tail) :] if having else looked  # what all were counted by the index without
    counted = having + Counter(word for _, turn in told for word in turn.counts)
    rarities = {word: rarity(indexed + len(tail), count) for word, count in counted.items() if count}
    return _Matches(matching, rarities, looked if few else None)


def _count_all(session: Session, index: TextIndex, tokens: Sequence[str], scope: Scope) -> Counter[str]:
    return Counter({word: index.count(session, word, scope, _COUNTED) for word in tokens})


def _rarest(having: Mapping[str, int]) -> list[str]:
    """Return the rarest of some words, so many that not too many messages have one of them."""
    chosen: list[str] = []
    messages = 0
    for word, count in sorted(having.items(), key=lambda pair: (pair[1], pair[0])):
        messages += count
        if count and (not chosen or messages <= _MOST_MATCHES):
            chosen.append(word)
    return chosen or list(having)


def _shares(
    session: Session, query: SearchQuery, asked: _Asked, found: _Matches, tail: Sequence[TermRow]
) -> dict[Key, float]:
    """Return the share of the query's words of every message that may be a hit."""
    scope, named = Scope.of(query), None
    if query.among is not None:
        named = [row for row in gathering.find_named(session, query.among, tail) if scope.shows(row)]
    looked = found.scope
    if looked is None:
        looked = list(map(asked.look, gathering.gather_neighbours(session, [*found.rows, *(named or ())], tail)))
    cleared = read_marks(session, {row.conversation_id for row, _ in looked})
    visible = [(row, turn) for row, turn in looked if row.sequence > cleared.get(row.conversation_id, 0)]
    shares = rank([turn for _, turn in visible], asked.tokens, found.rarities)
    wanted = shares.keys() if named is None else {row.key() for row in named}
    return {turn.key: shares.get(turn.key, 0.0) for row, turn in visible if turn.key in wanted and scope.shows(row)}


def _hits(session: Session, shares: Mapping[Key, float], keys: Sequence[Key]) -> list[SearchHit]:
    messages = gathering.read_all(session, keys)
    valued = gathering.read_importance(session, messages)
    return [
        SearchHit(message, 0.0, {"text": shares[message.conversation_id, message.sequence or 0], **worth})
        for message, worth in zip(messages, valued, strict=True)
    ]
