"""How a row of each kind is read where all of it is looked at: record, checksum, and the columns that repeat the first.

A scan reads everything, so it is where damage to any column is found: a copy, an archive and a replica hold nothing of
a row that disagrees with itself, and ``verify --records`` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import MemoryScore, Message, Outcome, Pattern, Preferences, Statistics, Strategy
from whisper_persistence.records.fields import to_units
from whisper_persistence_drivers.sql.checksums import checked_all
from whisper_persistence_drivers.sql.messages import other_author
from whisper_persistence_drivers.sql.session import set_sequence, to_micros

#: How a record says what a column repeats, where it is not the field of the column's name as it is.
_SAID: Final[dict[str, Callable[[Any], Any]]] = {
    "other_author": other_author,
    "effectiveness": lambda outcome: to_units(outcome.effectiveness_score),
    "occurred_at": lambda outcome: to_micros(outcome.timestamp),
    "score": lambda score: to_units(score.overall_score),
}


@attrs.define(eq=False)
class Scanned:
    """How one kind is scanned.

    Attributes:
        record_type: the class of its records.
        key: the columns of its key, after the namespace.
        others: other columns that the record repeats.
    """

    record_type: type
    key: tuple[str, ...]
    others: tuple[str, ...] = ()
    _says: list[Callable[[Any], Any]] = attrs.field(init=False)
    _read: Callable[[Sequence[Any]], list[Any]] = attrs.field(init=False)
    _place: int | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Work out how a row is read."""
        columns = self.columns()
        self._says = [_SAID.get(name) or attrgetter(name) for name in columns]
        self._place = columns.index("sequence") if "sequence" in columns else None
        self._read = checked_all(self.record_type, text=-2, kept=-1, sequence=self._place)

    def columns(self) -> tuple[str, ...]:
        """Return the columns that a scan reads before record and checksum."""
        return (*self.key, *self.others)

    def read(self, rows: Sequence[Any]) -> list[Any]:
        """Return the records of rows.

        Raises:
            StorageDamagedError: one cannot be read, or a column says something else than it does.
        """
        records = self._read(rows)
        if self._place is not None:
            for record, row in zip(records, rows, strict=True):
                set_sequence(record, row[self._place])
        for place, say in enumerate(self._says):
            if list(map(say, records)) != [row[place] for row in rows]:
                raise StorageDamagedError("a stored record is not the one that its columns tell of: restore a backup")
        return records

    def name(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return what names a row that cannot be read, wherever it is met."""
        return row[self._place or 0], row[-2]


KINDS: Final = {
    "strategies": Scanned(Strategy, ("user_id",)),
    "outcomes": Scanned(
        Outcome, ("user_id", "sequence"), ("outcome_id", "intervention_style", "effectiveness", "occurred_at")
    ),
    "statistics": Scanned(Statistics, ("user_id",)),
    "scores": Scanned(MemoryScore, ("user_id", "memory_id"), ("sequence", "score")),
    "patterns": Scanned(Pattern, ("user_id", "pattern_id")),
    "preferences": Scanned(Preferences, ("user_id",)),
    "messages": Scanned(Message, ("conversation_id", "sequence"), ("message_id", "user_id", "other_author")),
}
