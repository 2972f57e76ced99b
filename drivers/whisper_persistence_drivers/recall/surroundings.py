"""What messages mean among their neighbours, worked out from the vectors of single messages that SQL keeps.

The index holds neighbourhoods, so that the nearest of them are found at once; SQL never does, so that an erased message
is gone from all of them with the next build.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, pairwise

import attrs

from whisper_persistence.hookspecs import Below
from whisper_persistence.neighbours import RADIUS, next_place
from whisper_persistence.records import Message, VectorQuery, Window
from whisper_persistence_drivers.recall.sources import PAGE, Key, Pair, key_of

#: How many messages of a run are gathered before their neighbourhoods are worked out.
_BLOCK = 64
#: How many more messages are read on either side, since some may have no words.
_SPARE = 4


def neighbourhoods(run: Sequence[Pair]) -> list[Pair]:
    """Return what each message of one user and conversation means among its neighbours.

    Args:
        run: messages that follow each other, with the vectors of their own words.
    """
    import numpy as np

    from whisper_persistence_drivers import meaning

    if not run:
        return []
    vectors = np.frombuffer(b"".join(values for _, values in run), dtype="<f4").reshape(len(run), -1)
    found = meaning.neighbourhoods(vectors, places([message for message, _ in run]))
    return [(message, row.astype("<f4").tobytes()) for (message, _), row in zip(run, found, strict=True)]


def places(messages: Sequence[Message]) -> list[int]:
    """Return the place of each of some messages that follow each other."""
    found = [0] if messages else []
    for before, message in pairwise(messages):
        found.append(next_place(found[-1], before.timestamp, message.timestamp))
    return found


@attrs.define(eq=False)
class Stream:
    """Neighbourhoods of messages that come page by page, by conversation and sequence."""

    _talk: str | None = None
    _runs: dict[str, _Run] = attrs.field(factory=dict[str, "_Run"])

    def walk(self, pages: Iterable[Sequence[Pair]]) -> Iterator[list[Pair]]:
        """Yield, for each page, the neighbourhoods that are complete with it; all of them in the end."""
        for page in pages:
            yield [
                pair
                for talk, pairs in groupby(page, lambda pair: pair[0].conversation_id)
                for pair in self._add(talk, pairs)
            ]
        yield self._finish()

    def _add(self, talk: str, pairs: Iterable[Pair]) -> list[Pair]:
        complete = self._finish() if talk != self._talk else []
        self._talk = talk
        for pair in pairs:
            run = self._runs.setdefault(pair[0].user_id, _Run())
            complete += run.add(pair)
        return complete

    def _finish(self) -> list[Pair]:
        runs, self._runs = self._runs, {}
        return [pair for run in runs.values() for pair in run.finish()]


@attrs.define(eq=False)
class _Run:
    """One user's messages of one conversation; the first of them are there only as neighbours of the others."""

    _pairs: list[Pair] = attrs.field(factory=list[Pair])
    _known: int = 0

    def add(self, pair: Pair) -> list[Pair]:
        self._pairs.append(pair)
        if len(self._pairs) < self._known + _BLOCK + RADIUS:
            return []
        complete = neighbourhoods(self._pairs)[self._known : -RADIUS]
        self._pairs = self._pairs[-2 * RADIUS :]
        self._known = RADIUS
        return complete

    def finish(self) -> list[Pair]:
        return neighbourhoods(self._pairs)[self._known :]


def around(below: Below, model: str, changed: Sequence[Message]) -> list[Pair]:
    """Return the neighbourhoods of some messages and of all that they are neighbours of."""
    runs = _runs(below, changed)
    keys = [key_of(message) for run in runs for message in run if message.content]
    values = load_values(below, model, keys)
    wanted = {key_of(message) for message in changed}
    found: list[Pair] = []
    for run in runs:
        # What has no words is nobody's neighbour: those on both sides of it are.
        near = _near([message for message in run if key_of(message) in values or key_of(message) in wanted], wanted)
        spoken = [(message, values[key_of(message)]) for message in run if key_of(message) in values]
        found += [pair for pair in neighbourhoods(spoken) if key_of(pair[0]) in near]
    return found


def load_values(below: Below, model: str, keys: Sequence[Key]) -> dict[Key, bytes]:
    """Return the vectors of those of these messages that have one."""
    distinct = list(dict.fromkeys(keys))
    queries = [VectorQuery(model, limit=PAGE, among=distinct[n : n + PAGE]) for n in range(0, len(distinct), PAGE)]
    pages = (below.load_vectors(queries=queries) or {}).values()
    return {key_of(vector): vector.embedding.values for page in pages for vector in page.records}


def _runs(below: Below, changed: Sequence[Message]) -> list[list[Message]]:
    """Return the messages around some messages, in runs without a gap in them."""
    before, after = (_side(below, changed, before=side) for side in (True, False))
    found: list[list[Message]] = []
    for message in sorted(changed, key=_whose):
        run = [*before[key_of(message)], message, *after[key_of(message)]]
        if found and _whose(found[-1][-1]) >= _whose(run[0]) and _whose(found[-1][0])[:2] == _whose(message)[:2]:
            found[-1] = sorted({key_of(each): each for each in (*found[-1], *run)}.values(), key=_whose)
        else:
            found.append(run)
    return found


def _side(below: Below, changed: Sequence[Message], *, before: bool) -> dict[Key, list[Message]]:
    """Return what stands on one side of each message: so much that enough of it has words, or all there is."""
    found: dict[Key, list[Message]] = {}
    left, size = list(changed), 2 * RADIUS + _SPARE
    while left and size <= PAGE:
        shown = _load(below, {key_of(each): _window(each, size, before=before) for each in left})
        for message in left:
            others = shown[key_of(message)]
            # A window may begin with a question from long before: it is no neighbour.
            found[key_of(message)] = [*others[-size:]] if before else [*filter(partial(_follows, message), others)]
        left = [each for each in left if len(found[key_of(each)]) >= size and _spoken(found[key_of(each)]) < 2 * RADIUS]
        size *= 4
    return found


def _load(below: Below, windows: Mapping[Key, Window]) -> dict[Key, Sequence[Message]]:
    asked, shown = list(windows.values()), dict[Window, Sequence[Message]]()
    for start in range(0, len(asked), PAGE):
        shown.update(below.load_messages(windows=asked[start : start + PAGE]) or {})
    return {key: shown.get(window, ()) for key, window in windows.items()}


def _follows(message: Message, other: Message) -> bool:
    return (other.sequence or 0) > (message.sequence or 0)


def _spoken(messages: Sequence[Message]) -> int:
    return sum(bool(message.content) for message in messages)


def _whose(message: Message) -> tuple[str, str, int]:
    return message.conversation_id, message.user_id, message.sequence or 0


def _window(message: Message, size: int, *, before: bool) -> Window:
    talk, user, place = message.conversation_id, message.user_id, message.sequence
    return Window(talk, size, before=place if before else None, after=None if before else place, user_id=user)


def _near(run: Sequence[Message], wanted: set[Key]) -> set[Key]:
    """Return the keys of those that are wanted or neighbours of one that is."""
    keys = [key_of(message) for message in run]
    places = [n for n, key in enumerate(keys) if key in wanted]
    return {key for place in places for key in keys[max(0, place - RADIUS) : place + RADIUS + 1]}
