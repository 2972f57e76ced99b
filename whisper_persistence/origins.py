"""Where a write comes from, for the database of record: what a net above it tells beside the records themselves.

A write that was acknowledged while the database did not answer is replayed later, through the ordinary hooks, so that
every layer treats it as it treats any other. What the database of record must know to do that once, in order and
without bringing back what was erased meanwhile is its `Origin`, which holds for every hook called on this thread
inside `written_from`; a layer that asks below on another thread hands it on. The rules of a driver that keeps records:

- Once. A save of whole records, or an erase, whose ``change_id`` was applied before changes nothing. Changes and
  messages have ids of their own.
- Epoch. A replayed item of a user who was erased after it was written is left out. It was written after the erase if
  ``erasures`` reaches the erase's number; where that is not known, if ``written_at`` is later.
- Late. A call that is not replayed but concerns such a user is refused with `ErasedMeanwhileError`, inside its
  transaction: whoever asked may have stopped waiting, and the call have been on its way since before the erase. Who
  still waits is told the number, and asks again as one that followed it.
- Own order. What the writer of the erase itself wrote after it is kept: same ``writer``, larger ``number``.
- Conflict. A replayed save of a whole record whose user was written to since, beyond the revision in ``based_on``,
  does not replace the stored record; it is kept beside it, unless the two are equal: then it is stored already.

An item that is left out or kept beside is answered with a receipt, and raises the revision of its user all the same:
``based_on`` of what its writer saved after it is raised by one for each own write before. Without an origin a driver
does as always. It numbers the erases of its namespace and names the newest number in `Receipt.erasures`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

import attrs

from whisper_persistence.records import fields


@attrs.frozen
class Origin:
    """Where the writes of one call come from.

    Attributes:
        change_id: of the call; made once, before it was first tried.
        writer: the journal of the process that writes; unique.
        number: the position among what this writer wrote down; larger is later.
        replayed: whether the call was acknowledged before, and is made now for the database to catch up.
        erasures: the newest `Receipt.erasures` that the writer had seen; ``None`` where it had seen none.
        written_at: when the call was acknowledged; decides only where ``erasures`` is not known.
        based_on: for saves of whole records the revision that the writer knew, by user id; 0 for what is not there.
    """

    change_id: str
    writer: str
    number: int
    replayed: bool = False
    erasures: int | None = None
    written_at: datetime = attrs.field(factory=fields.now, converter=fields.to_utc)
    based_on: Mapping[str, int] = attrs.field(factory=dict[str, int])


_origin: ContextVar[Origin | None] = ContextVar("whisper_persistence_origin", default=None)


def current_origin() -> Origin | None:
    """Return where the present call comes from, or ``None`` for a call like any other."""
    return _origin.get()


@contextmanager
def written_from(origin: Origin | None) -> Generator[None]:
    """Say where the writes of a block come from, on this thread."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)
