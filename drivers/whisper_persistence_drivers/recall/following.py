"""Following SQL: what the outbox names is read as it is now, embedded, kept in SQL, pushed to the index and cleared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from whisper_persistence.clearing import first_shown
from whisper_persistence.errors import StorageRefusedError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Embedding, Follower, Message, Pending, Vector
from whisper_persistence.words import content_words
from whisper_persistence_drivers.recall.embedders import Embedder
from whisper_persistence_drivers.recall.sources import Key, key_of, load_shown

#: How many pending rows are worked on at once.
BATCH: Final = 200
#: How often a row may fail, and for how many seconds it is then left alone.
ATTEMPTS: Final = 3
REST: Final = 300.0

_REST_OF_TALK: Final = 1 << 62


class NotTakenError(StorageUnavailableError):
    """The index did not take news, whatever they are: they wait, and no row of the outbox is to blame."""


@attrs.frozen
class News:
    """What changed for the index.

    Attributes:
        changed: messages with other words than before, or none any more; their vectors in SQL are as new.
        gone: messages that are not to be found any more.
        first: the first position that a conversation shows, for those whose earlier ones are not to be found any more.
    """

    changed: list[Message]
    gone: list[Key]
    first: dict[str, int]


@attrs.define(eq=False)
class Outbox:
    """The pending work of one follower, and which of it is set aside.

    Attributes:
        follower: its name.
        behind_since: since when there is pending work, as ``time.monotonic`` counts; ``None`` where there is none.
        worked: how many rows were worked off.
        new: whether the follower was not known before, so that it was told nothing of what there is.
        fence: that of the lease under which it is worked off; 0 without one.
    """

    below: Below
    follower: str
    behind_since: float | None = None
    worked: int = 0
    new: bool = False
    fence: int = 0
    _failures: dict[Pending, int] = attrs.field(factory=dict[Pending, int])
    _aside: dict[Pending, float] = attrs.field(factory=dict[Pending, float])
    _first: dict[str, int] = attrs.field(factory=dict[str, int])

    def register(self) -> bool:
        """Make the follower known to SQL; say whether anybody below keeps pending work."""
        new = self.below.register_follower(follower=Follower(self.follower, ("messages", "conversations")))
        self.new = self.new or bool(new)
        return new is not None

    def set_aside(self) -> int:
        """Return how many rows are set aside, because they failed again and again."""
        return len(self._aside)

    def waiting(self) -> tuple[Pending, ...]:
        """Return what waits, without what is set aside; some of it, if it is much."""
        now = time.monotonic()
        self._aside = {row: since for row, since in self._aside.items() if now - since < REST}
        rows = self.below.load_pending(follower=self.follower, limit=BATCH + len(self._aside)) or ()
        waiting = tuple(row for row in rows if row not in self._aside)[:BATCH]
        self.behind_since = (self.behind_since or now) if waiting else None
        return waiting

    def work(self, embedders: Sequence[Embedder], push: Callable[[News], None]) -> int:
        """Work some of it off, and return how many rows.

        A row that keeps failing is set aside; when the first few all fail, nobody is to blame and the error goes on.
        """
        rows = self.waiting()
        if not rows:
            return 0
        try:
            self._follow(rows, embedders, push)
        except NotTakenError:
            raise
        except (StorageRefusedError, StorageUnavailableError) as error:
            failed, tried = self._follow_each(rows, embedders, push)
            self._blame(failed)
            if len(failed) == tried:
                raise error from None
        self.worked += len(rows)
        return len(rows)

    def _follow_each(
        self, rows: Sequence[Pending], embedders: Sequence[Embedder], push: Callable[[News], None]
    ) -> tuple[list[Pending], int]:
        """Return which rows failed alone, and how many were tried: not all, where the first few fail."""
        failed: list[Pending] = []
        for tried, row in enumerate(rows, start=1):
            try:
                self._follow([row], embedders, push)
            except (StorageRefusedError, StorageUnavailableError):
                failed.append(row)
            if len(failed) == tried == ATTEMPTS:
                return failed, tried
        return failed, len(rows)

    def _blame(self, failed: Sequence[Pending]) -> None:
        for row in failed:
            self._failures[row] = self._failures.get(row, 0) + 1
            if self._failures[row] >= ATTEMPTS:
                del self._failures[row]
                self._aside[row] = time.monotonic()

    def _follow(self, rows: Sequence[Pending], embedders: Sequence[Embedder], push: Callable[[News], None]) -> None:
        push(self._read(rows, embedders))
        seen = [attrs.evolve(row, fence=self.fence) for row in rows] if self.fence else rows
        self.below.clear_pending(pending=seen)  # what is newer meanwhile stays, and is pushed again

    def _read(self, rows: Sequence[Pending], embedders: Sequence[Embedder]) -> News:
        keys = [(row.thing_id, row.item) for row in rows if row.kind == "messages"]
        shown = load_shown(self.below, keys)
        spoken = [message for message in shown.values() if message.content]
        for embedder in embedders:
            spoken = embed(self.below, embedder, spoken)
        kept = {key_of(message) for message in spoken}
        changed = [message for key, message in shown.items() if key in kept or not message.content]
        return News(changed, [key for key in keys if key not in kept], self._marks(rows))

    def _marks(self, rows: Sequence[Pending]) -> dict[str, int]:
        talks = dict.fromkeys(row.thing_id for row in rows if row.kind == "conversations")
        found = first_shown(lambda windows: self.below.load_messages(windows=windows), talks)
        first = {talk: found.get(talk, _REST_OF_TALK) for talk in talks}
        news = {talk: place for talk, place in first.items() if place > self._first.get(talk, 1)}
        self._first.update(first)
        return news


def embed(below: Below, embedder: Embedder, messages: Sequence[Message]) -> list[Message]:
    """Embed messages and keep their vectors in SQL; return those that it kept: the others are gone meanwhile."""
    if not messages:
        return []
    values = embedder.embed([_wording(embedder, message.content) for message in messages])
    vectors = [
        Vector(message.conversation_id, message.message_id, Embedding(embedder.identity, vector), message.edited_at)
        for message, vector in zip(messages, values, strict=True)
    ]
    receipts = below.save_vectors(vectors=vectors) or ()
    return [message for message, receipt in zip(messages, receipts, strict=True) if receipt.sequence is not None]


def _wording(embedder: Embedder, text: str) -> str:
    """Return what of a text is embedded: without function words, where the vector is the mean of all words."""
    return (" ".join(content_words(text)) or text) if embedder.by_words else text
