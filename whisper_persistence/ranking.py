"""How well turns fit a query by words: BM25 over each turn together with its neighbours, the same for every driver.

    share(turn) = sum of rarity(word) * tf / (tf + K1 * (1 - B + B * length / mean length)) / sum of rarity(word)

over the words of the query. ``tf`` counts a word in the turn and, by `neighbours.influence`, in its neighbours.
``rarity`` is BM25's ``log(1 + (n - df + 0.5) / (df + 0.5))``. A word of the query that is an author's name asks who
spoke: it is a second field of each turn, found whole or not at all, and as rare as turns by that author are; as a word
it counts by half, since those who are spoken to are named as well. A word that names a date asks when, in the same way:
turns of that day, month or year have it. BM25 after Robertson and Zaragoza, "The
Probabilistic Relevance Framework" (2009), with its usual constants; divided by what it could be at most, so that 1
would be a turn that is made of the words asked for.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from operator import mul
from typing import Any, Final, NamedTuple

from whisper_persistence.neighbours import RADIUS, influence

#: How soon more of a word is not worth more, and how much the length of a turn counts.
K1: Final = 1.2
B: Final = 0.75
#: What the mention of an author's name or of a date counts, against any other word.
_MENTIONED: Final = 0.5
#: What a turn counts for those around it, the first one first; and what they count for it.
_GIVEN: Final = tuple(influence(step) for step in range(-RADIUS, RADIUS + 1))
_TAKEN: Final = _GIVEN[::-1]


class Turn(NamedTuple):
    """What ranking knows of a message.

    Attributes:
        key: what the caller calls it.
        stream: whose part of which conversation it belongs to; only turns of one stream are neighbours.
        place: where it is in its stream, by `neighbours.next_place`.
        counts: how often it has each word of the query that it has: any hashable text stands for a word.
        length: how many words it has.
        names: the words of its author's name, and those of the query that name its date.
    """

    key: Any
    stream: Any
    place: int
    counts: Mapping[str, int]
    length: int
    names: Sequence[str] = ()

    @classmethod
    def of(
        cls, key: Any, stream: Any, place: int, *, said: Sequence[str], asked: Collection[str], names: Sequence[str]
    ) -> Turn:
        """Return what ranking knows of a message that says these words, for a query that asks for those."""
        return cls(key, stream, place, Counter(filter(asked.__contains__, said)), len(said), names)


def rarity(count: int, having: int) -> float:
    """Return how rare a word is that so many of a number of messages have."""
    return math.log1p((max(count - having, 0) + 0.5) / (having + 0.5))


def rank(turns: Iterable[Turn], asked: Collection[str], rarities: Mapping[str, float]) -> dict[Any, float]:
    """Return each turn's share of the query, 0 to 1, by its key; turns that have none of it are left out.

    Args:
        turns: those that have a word of the query, their neighbours, and the neighbours of these.
        asked: the words of the query.
        rarities: how rare each of them is that some turn has; an author's name or a date may be in none.
    """
    streams: dict[Any, dict[int, list[Turn]]] = defaultdict(lambda: defaultdict(list))
    for turn in turns:
        streams[turn.stream][turn.place].append(turn)
    counted = [found for places in streams.values() for found in _count(places)]
    named = _named([turn for turn, _, _ in counted], asked)
    words = {word: rare * (_MENTIONED if word in named else 1.0) for word, rare in rarities.items()}
    mean = sum(length for _, _, length in counted) / len(counted) if counted else 1.0
    whole = sum(words.values()) + sum(named.values()) or 1.0
    found = ((turn, _said(counts, length / mean, words) + _bears(turn, named)) for turn, counts, length in counted)
    return {turn.key: worth / whole for turn, worth in found if worth > 0.0}


def _named(turns: Sequence[Turn], asked: Collection[str]) -> dict[str, float]:
    """Return the words of a query that are an author's name or a date, and how rare turns of them are."""
    wanted = frozenset(asked)
    having = Counter([name for turn in turns for name in wanted.intersection(turn.names)])
    return {name: rarity(len(turns), count) for name, count in having.items()}


def _said(counts: Mapping[str, float], length: float, rarities: Mapping[str, float]) -> float:
    norm = K1 * (1.0 - B + B * length)
    return sum([rarities[word] * count / (count + norm) for word, count in counts.items()])


def _bears(turn: Turn, named: Mapping[str, float]) -> float:
    return sum(named[name] for name in set(turn.names) if name in named) if named else 0.0


def _count(places: Mapping[int, Sequence[Turn]]) -> Iterable[tuple[Turn, Mapping[str, float], float]]:
    """Return for each turn of a stream that is near a wanted word how often it has each, and how long it is."""
    counts: dict[int, dict[str, float]] = {}
    for place, turns in places.items():
        having = [pair for turn in turns for pair in turn.counts.items()]
        for near, weight in zip(_around(place), _GIVEN, strict=True) if having else ():
            if near in places:
                there = counts.setdefault(near, {})
                for word, count in having:
                    there[word] = there.get(word, 0.0) + weight * count
    sizes = {place: sum([turn.length for turn in turns]) for place, turns in places.items()}
    for place, found in counts.items():
        length = max(sum(map(mul, _TAKEN, map(sizes.get, _around(place), repeat(0)))), 1.0)
        for turn in places[place]:
            yield turn, found, length


def _around(place: int) -> range:
    """Return the places of a turn's neighbours and its own, the first one first."""
    return range(place - RADIUS, place + RADIUS + 1)
