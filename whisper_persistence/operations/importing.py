"""Bringing in what comes from elsewhere: reading and checking it is some batches ahead of saving it.

Messages are saved by several threads where the storage takes that, those of one conversation by one, in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from whisper_persistence.codec import encode_utf8
from whisper_persistence.errors import ValidationError
from whisper_persistence.operations.saving import SavingThreads
from whisper_persistence.operations.transfer import Batch, checked, read_batches
from whisper_persistence.records import Message, checks
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store

#: Batches that may be under way, and the bytes of a file, or characters of messages at hand, that they may take.
_AHEAD: Final = 6
_ROOM: Final = 32_000_000

_UnderWay = deque[tuple[Batch, list[Future[None]]]]


def import_file(store: Store, path: Path, advance: Callable[[Batch], None] | None = None) -> dict[RecordKind, int]:
    """Store every record of a JSON Lines file in batches; each conversation, and what is no message, in its order.

    Args:
        store: where to.
        path: the file.
        advance: called after each batch that was stored, in their order.

    Returns:
        How many records of each kind the file holds.

    Raises:
        ValidationError: a line is not a legal record; names file, line and field. Nothing of the batch that it would
            have been in was stored, nor anything after it; the batches before were.
        StorageUnavailableError: the storage did not answer. Of each conversation, a first part of its messages in the
            file was stored, or all. Importing the file again stores the rest of those that have ids, and once more
            what has none.
    """
    counts: dict[RecordKind, int] = {}
    with closing(read_batches(path)) as batches, closing(_saved(store, map(checked, batches))) as saved:
        for batch in saved:
            counts[batch.kind] = counts.get(batch.kind, 0) + len(batch.records)
            if advance:
                advance(batch)
    return counts


def import_messages(store: Store, messages: Iterable[Message]) -> int:
    """Append any number of messages, each conversation's in the order given; those that are stored already stay.

    Args:
        store: where to.
        messages: what to append; taken one after the other, so they need not all be in memory.

    Returns:
        How many messages there were.

    Raises:
        ValidationError: a message is not legal; names its place among the messages, from 0, and the field. What was
            stored then, and after `StorageUnavailableError`, is as for `import_file`: a message that gets a new id
            when it is made again is stored again.
    """
    with closing(_saved(store, _in_batches(messages))) as saved:
        return sum(len(batch.records) for batch in saved)


def _in_batches(messages: Iterable[Message]) -> Iterator[Batch]:
    source, first = iter(messages), 0
    while records := list(islice(source, checks.MAX_BATCH)):
        batch = checked(Batch("messages", records, [f"messages[{first + place}]" for place in range(len(records))]))
        batch.size = sum(len(message.content) + len(encode_utf8(message.extra)) for message in records)
        yield batch
        first += len(records)


def _saved(store: Store, batches: Iterable[Batch]) -> Generator[Batch]:
    """Save batches of legal records, and yield each once it is stored, in their order."""
    under_way: _UnderWay = deque()
    with SavingThreads(store) as threads:
        try:
            for batch in batches:
                under_way.append((batch, threads.save(batch)))
                yield from _finished(under_way, _AHEAD)
        except ValidationError:
            yield from _finished(under_way, 0)
            raise
        yield from _finished(under_way, 0)


def _finished(under_way: _UnderWay, ahead: int) -> Iterator[Batch]:
    """Yield the oldest batches until no more are under way than may be."""
    while len(under_way) > ahead or sum(batch.size for batch, _ in under_way) > _ROOM:
        batch, futures = under_way.popleft()
        try:
            for future in futures:
                future.result()
        except ValidationError as error:  # of a driver that takes less than others
            places = f"{batch.places[0]} to {batch.places[-1]}"
            raise ValidationError(f"{places}: {error.field}", error.problem) from None
        yield batch
