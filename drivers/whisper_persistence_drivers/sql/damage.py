"""Records that cannot be read: left out where they are asked for among others, an error where by their own key.

A damaged message must not keep a conversation from being shown, so windows, pages, scans and searches go on without it;
it is counted, logged once, and named by scans. A damaged strategy that looked absent would be begun anew and replaced,
so whoever asks for one is told that it is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import attrs

from whisper_persistence.errors import PartlyDamagedError, StorageDamagedError

if TYPE_CHECKING:
    from whisper_persistence_drivers.sql.flavour import Prepared
    from whisper_persistence_drivers.sql.session import Session

T = TypeVar("T")

#: So many damaged records are told from each other.
_MOST: Final = 10_000

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Damage:
    """What could not be read in one database since it was opened."""

    _seen: set[int] = attrs.field(factory=set[int])

    def __len__(self) -> int:
        """Return how many records it were."""
        return len(self._seen)

    def note(self, kind: str, named: tuple[Any, ...]) -> None:
        """Count a record, named by its text and a part of its key, and log it the first time it is met."""
        known = hash((kind, *named))
        if known not in self._seen and len(self._seen) < _MOST:
            self._seen.add(known)
            _log.error("a stored record cannot be read and is left out", extra={"kind": kind, "records": len(self)})


def _first_two(row: Any) -> tuple[Any, ...]:
    return tuple(row[:2])


class Asked(NamedTuple):
    """How a page was asked for.

    Attributes:
        kind: of its records.
        statement: which statement.
        values: with which values, ``limit`` among them.
        name: what names a row of it that cannot be read.
    """

    kind: str
    statement: Prepared
    values: dict[str, Any]
    name: Callable[[Any], Any] = _first_two


def read_each(
    session: Session, kind: str, rows: Sequence[Any], read: Callable[[Any], T], name: Callable[[Any], Any] = _first_two
) -> list[tuple[Any, T]]:
    """Return every row that can be read with what it holds; the others are noted, by a part of the key and the text."""
    found: list[tuple[Any, T]] = []
    for row in rows:
        try:
            found.append((row, read(row)))
        except StorageDamagedError:
            session.damage.note(kind, name(row))
    return found


def read_all(
    session: Session,
    kind: str,
    rows: Sequence[Any],
    read: Callable[[Sequence[Any]], list[T]],
    name: Callable[[Any], Any],
) -> list[tuple[Any, T]]:
    """Return what `read_each` does, all in one step where nothing is damaged; ``read`` takes many rows."""
    try:
        return list(zip(rows, read(rows), strict=True))
    except StorageDamagedError:
        return read_each(session, kind, rows, lambda row: read([row])[0], name)


def read_page(session: Session, page: Asked, rows: Sequence[Any], read: Callable[[Any], T]) -> tuple[T, ...]:
    """Return a page; where something in it cannot be read, as `read_more` does."""
    try:
        return tuple([read(row) for row in rows])
    except StorageDamagedError:
        return tuple(read_more(session, page, rows, read))


def read_more(session: Session, page: Asked, rows: Sequence[Any], read: Callable[[Any], T]) -> list[T]:
    """Return a page without what cannot be read in it, filled up with what follows: a short page is taken for the last.

    Args:
        session: where to read.
        page: how it was asked for.
        rows: what was answered.
        read: how a row is read.
    """
    limit = asked = page.values["limit"]
    while True:
        found = [record for _, record in read_each(session, page.kind, rows, read, page.name)]
        if len(found) >= limit or len(rows) < asked:
            return found[:limit]
        asked *= 2
        (rows,) = session.each(page.statement, [{**page.values, "limit": asked}])


def sorted_out(session: Session, kind: str, rows: Sequence[Any], read: Callable[[Any], T]) -> PartlyDamagedError:
    """Return the error for records of which some cannot be read; each row begins with the key that was asked for."""
    read_rows = read_each(session, kind, rows, read)
    unknown = frozenset(row[0] for row in rows) - frozenset(row[0] for row, _ in read_rows)
    found = {row[0]: record for row, record in read_rows}
    return partly_damaged(kind, found, unknown)


def partly_damaged(kind: str, found: dict[Any, Any], unknown: frozenset[Any]) -> PartlyDamagedError:
    """Return the error for keys of one load of which some name what cannot be read."""
    return PartlyDamagedError(
        f"{kind} of {len(unknown):,} of {len(unknown) + len(found):,} users cannot be read and are not known: restore "
        "a backup, save them anew or erase the users, whom whisper-persistence verify --records names",
        found,
        unknown,
    )
