"""Records in the order of their sequence, found by their id as well."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

import attrs


@attrs.frozen
class Row:
    """One stored record.

    Attributes:
        item: its id within its user or conversation.
        text: the record as JSON.
    """

    item: str
    text: str = attrs.field(repr=False)


@attrs.frozen
class ScoreRow(Row):
    """A stored memory score.

    Attributes:
        score: the overall score.
    """

    score: float


@attrs.frozen
class MessageRow(Row):
    """A stored message, with what windows and erasing ask of it.

    Attributes:
        user_id: whom it concerns.
        author_id: the user who wrote it, or empty where the author is not a user.
        in_reply_to: the message it answers.
    """

    user_id: str
    author_id: str
    in_reply_to: str | None


R = TypeVar("R", bound=Row)


@attrs.define(eq=False)
class Log(Generic[R]):
    """Rows by sequence and by id; sequences only grow, and may have gaps."""

    _order: list[int] = attrs.field(factory=list[int], init=False)
    _rows: dict[int, R] = attrs.field(factory=dict[int, R], init=False)
    _sequences: dict[str, int] = attrs.field(factory=dict[str, int], init=False)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._order)

    def __iter__(self) -> Iterator[R]:
        """Iterate over the rows, oldest first."""
        return iter(self._rows.values())

    def append(self, sequence: int, row: R) -> None:
        """Add a row at a sequence larger than any before."""
        self._order.append(sequence)
        self._rows[sequence] = row
        self._sequences[row.item] = sequence

    def replace(self, row: R) -> None:
        """Put a row where the one of the same id is."""
        self._rows[self._sequences[row.item]] = row

    def remove(self, items: Collection[str]) -> None:
        """Take away the rows of these ids, as far as they are there."""
        gone = [self._sequences.pop(item) for item in items if item in self._sequences]
        for sequence in gone:
            del self._rows[sequence]
        if len(gone) == 1:
            del self._order[bisect_left(self._order, gone[0])]
        elif gone:
            self._order = list(self._rows)

    def sequence(self, item: str) -> int | None:
        """Return the sequence of a row, or ``None`` where there is none of this id."""
        return self._sequences.get(item)

    def get(self, item: str) -> R | None:
        """Return the row of this id."""
        sequence = self._sequences.get(item)
        return None if sequence is None else self._rows[sequence]

    def oldest(self, after: int, before: int | None = None) -> Iterator[tuple[int, R]]:
        """Iterate over the rows between two sequences, neither included, oldest first."""
        for position in range(bisect_right(self._order, after), self._end(before)):
            yield self._order[position], self._rows[self._order[position]]

    def newest(self, before: int | None, after: int = 0) -> Iterator[tuple[int, R]]:
        """Iterate over the rows between two sequences, neither included, newest first."""
        for position in range(self._end(before) - 1, bisect_right(self._order, after) - 1, -1):
            yield self._order[position], self._rows[self._order[position]]

    def _end(self, before: int | None) -> int:
        return len(self._order) if before is None else bisect_left(self._order, before)
