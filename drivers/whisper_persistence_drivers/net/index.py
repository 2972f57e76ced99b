"""What waits, found by whom it is written to; the calls themselves stay on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import attrs

from whisper_persistence_drivers.net.entries import Entry


@attrs.define
class Line:
    """What is remembered of a call that waits.

    Attributes:
        keys: what it is written to.
        size: of its body, in characters.
        hook, written_at, tried: as in `Entry`.
    """

    keys: frozenset[str]
    size: int
    hook: str
    written_at: int
    tried: bool


@attrs.define(eq=False)
class Index:
    """The calls that wait, in order. Not thread-safe.

    Attributes:
        lines: by place, the oldest first.
        size: of all bodies together, in characters.
    """

    lines: dict[int, Line] = attrs.field(factory=dict[int, Line])
    size: int = 0
    _places: dict[str, dict[int, None]] = attrs.field(factory=dict[str, dict[int, None]])

    def blocks(self, keys: Iterable[str]) -> bool:
        """Say whether anything waits that is written to one of these."""
        return bool(self._places) and any(key in self._places for key in keys)

    def places(self, key: str) -> list[int]:
        """Return where the calls are that are written to this, in order."""
        return list(self._places.get(key, ()))

    def first(self, most: int) -> list[int]:
        """Return the oldest places, in order."""
        return list(islice(self.lines, most))

    def oldest(self) -> int | None:
        """Return when the oldest call was acknowledged, in microseconds since 1970."""
        return min((line.written_at for line in self.lines.values()), default=None)

    def add(self, entry: Entry, keys: frozenset[str]) -> None:
        """Remember one more call, after all others."""
        self.lines[entry.place] = Line(keys, len(entry.body), entry.hook, entry.written_at, entry.tried)
        self.size += len(entry.body)
        for key in keys:
            self._places.setdefault(key, {})[entry.place] = None

    def replace(self, entry: Entry, keys: frozenset[str]) -> None:
        """Put a call in the place of the one that is there, which holds more."""
        line = self.lines[entry.place]
        self._unlink(entry.place, line.keys - keys)
        self.size += len(entry.body) - line.size
        line.keys, line.size = keys, len(entry.body)

    def drop(self, place: int) -> None:
        """Forget a call."""
        line = self.lines.pop(place, None)
        if line is not None:
            self._unlink(place, line.keys)
            self.size -= line.size

    def _unlink(self, place: int, keys: Iterable[str]) -> None:
        for key in keys:
            del self._places[key][place]
            if not self._places[key]:
                del self._places[key]
