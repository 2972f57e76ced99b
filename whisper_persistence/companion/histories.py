"""The support history that a bot keeps of a user: its newest ten entries, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from whisper_persistence.records.fields import quantise, to_utc
from whisper_persistence.records.strategies import HISTORY_LIMIT


def in_time_order(entries: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the newest ten entries, oldest first; where one has no time, the order stays as it is."""
    listed = list(entries)
    timed = [(aware(when), entry) for entry in listed if (when := time_of(entry))]
    if len(timed) == len(listed):
        listed = [entry for _, entry in sorted(timed, key=lambda pair: pair[0])]
    return tuple(listed[-HISTORY_LIMIT:])


def continued(before: Sequence[Any], after: Sequence[Any]) -> int:
    """Return how many of the entries that one history ends with are those that another one begins with.

    That is all of the first, or all but those that the limit drove out, where a bot only ever appends; where it did
    anything else, 0.
    """
    try:
        kept = before[before.index(after[0]) :]
        return len(kept) if list(after[: len(kept)]) == list(kept) else 0
    except (IndexError, TypeError, ValueError):
        return 0


def follow(kept: Sequence[Any], new: Sequence[Any]) -> bool:
    """Say whether entries come after those of a history in the order of time, and are in order themselves."""
    times = [time_of(entry) for entry in (*kept[-1:], *new)]
    known = [aware(when) for when in times if when]
    return len(known) == len(times) and all(map(datetime.__le__, known, known[1:]))


def new_entries(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Return the entries that were not there before, each with how many equal ones came earlier."""
    kept = continued(before, after)
    known = list(before[: len(before) - kept])
    new: list[tuple[dict[str, Any], int]] = []
    for position in range(kept, len(after)):
        entry = after[position]
        if entry in known:
            known.remove(entry)
        else:
            new.append((entry, after[:position].count(entry)))
    return new


def normalised(entry: Any) -> dict[str, Any]:
    """Return an entry as it comes back from the store: its time in UTC, its score in whole units."""
    when = time_of(entry)
    if when is None or when.tzinfo is None:
        return cast("dict[str, Any]", entry)
    score = {"effectiveness_score": quantise(entry["effectiveness_score"])} if "effectiveness_score" in entry else {}
    return {**entry, **score, "timestamp": to_utc(when).isoformat()}


def time_of(entry: Any) -> datetime | None:
    """Return the time of an entry, or ``None`` where it says none."""
    try:
        return datetime.fromisoformat(entry["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None


def aware(when: datetime) -> datetime:
    """Return a time with a zone; one without is read as UTC."""
    return when if when.tzinfo else when.replace(tzinfo=UTC)
