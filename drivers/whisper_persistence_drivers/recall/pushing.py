"""Bringing news to an index."""

from __future__ import annotations

import time
from typing import Final

from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError
from whisper_persistence.neighbours import RADIUS
from whisper_persistence.records import Message
from whisper_persistence_drivers.recall.following import News, NotTakenError
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.labels import entry_of, item_of
from whisper_persistence_drivers.recall.sources import key_of, load_shown
from whisper_persistence_drivers.recall.state import State
from whisper_persistence_drivers.recall.surroundings import around

#: Seconds between something's removal from the index and the build that frees its bytes, so that several share one.
_SCRUB_AFTER: Final = 5.0
#: More vectors than any index has: what a clear mark removes is not counted.
_MANY: Final = 1 << 40
_WAITING: Final = "the index server cannot be reached: what changed waits a while for it"


def push(state: State, news: News) -> None:
    """Bring news to the index that answers and to the one that is being made; let go of one that cannot take them.

    Raises:
        NotTakenError: nor can it be given up, so that the news must wait.
    """
    state.grow(len(news.changed))
    there = [index for index in (state.index, state.coming) if index is not None]
    if not any(map(state.is_current, there)):
        state.miss_server()
        if state.awaits_server():
            raise NotTakenError(_WAITING)
        state.folder.forget()  # it would miss what nobody tells it
    if state.coming is not None and state.waiting is not None:
        state.waiting.append(news)
        there.remove(state.coming)
    for index in there:
        try:
            push_to(state, index, news)
        except (StorageUnavailableError, StorageDamagedError) as error:
            state.miss_server()
            if isinstance(error, StorageUnavailableError) and state.is_current(index) and state.awaits_server():
                raise NotTakenError(_WAITING) from None
            index.child.dirty = True
            state.lose(index, str(error))
            if state.is_current(index):
                raise NotTakenError("the index folder cannot be written: what changed waits") from None
    state.server_missed_at = None


def push_to(state: State, index: Index, news: News) -> None:
    """Bring news to one index.

    Raises:
        StorageUnavailableError, StorageDamagedError: it did not take them all.
    """
    gone = [item_of(state.namespace, *key) for key in news.gone]
    edited = [item_of(state.namespace, *key_of(message)) for message in news.changed if message.edited_at]
    left = index.load([*gone, *edited]) if gone or edited else {}
    changed = [*news.changed, *_bereft(state, index, news.first)]
    near = around(state.below, index.model, changed) if changed else []
    index.upsert([entry_of(state.namespace, *pair) for pair in near])
    index.delete([item for item in gone if item in left])
    if left:  # neither a vector that is removed nor one that is replaced goes from the index's files
        with state.scrubbing:
            state.scrub_at = state.scrub_at or time.monotonic() + _SCRUB_AFTER
    for conversation_id, first in news.first.items():
        index.delete_before(conversation_id, first)
    state.pushed += len(near) + len(gone) + (_MANY if news.first else 0)


def _bereft(state: State, index: Index, first: dict[str, int]) -> list[Message]:
    """Return the messages that lose neighbours, where conversations show nothing before a position any more."""
    keys = [(talk, item) for talk, place in first.items() for item in index.first_from(talk, place, RADIUS)]
    return list(load_shown(state.below, keys).values())
