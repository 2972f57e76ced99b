"""From what a follower has not seen to the rows as they are now.

Pending work says what changed, never how. New rows of a user or conversation have larger sequences than any the
replica holds, so they are read from the newest down to there; what is pending and not among them is looked up where the
replica has it, and is gone where it is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from whisper_persistence.hookspecs import Below
from whisper_persistence.records import (
    MemoryScore,
    OutcomeQuery,
    Pattern,
    Pending,
    ScoreQuery,
    Window,
)
from whisper_persistence_drivers.replica.loading import first_kept

#: How many rows one page is asked for, at most: between two of them the refresh pauses.
PAGE: Final = 500
#: How many users' patterns are read at once; each has a few.
_USERS: Final = 100

#: What the replica holds of a kind already: sequences by owner and item, and the largest of each owner.
Known = tuple[Mapping[tuple[str, str], int], Mapping[str, int]]

#: Answers queries of one kind, and pauses.
_Load = Callable[[Iterable[Any]], Mapping[Any, tuple[Any, ...]]]

T = TypeVar("T")


@attrs.define
class Changes:
    """What became of pending work.

    Attributes:
        rows: the present records, by table.
        keys: the keys of all that was pending or is among the rows, by table.
        first_shown: for conversations that may have been cleared, the oldest sequence that still counts.
    """

    rows: dict[str, list[Any]] = attrs.field(factory=dict[str, list[Any]])
    keys: dict[str, list[tuple[str, str]]] = attrs.field(factory=dict[str, list[tuple[str, str]]])
    first_shown: dict[str, int] = attrs.field(factory=dict[str, int])


@attrs.frozen
class _Reader:
    """How the rows of one kind that have a sequence are read.

    Attributes:
        query: makes the query for the rows of an owner next to a sequence: so many above it, or below it.
        load: asks it.
        item: the id of a record.
        rising: whether rows are read from the oldest up, and not from the newest down.
    """

    query: Callable[[str, int | None, int], Any]
    load: Callable[[Below, Sequence[Any]], Mapping[Any, tuple[Any, ...]] | None]
    item: Callable[[Any], str]
    rising: bool = False


def _score_query(user_id: str, before: int | None, limit: int) -> ScoreQuery:
    # Scores compare without their sequence, so the queries of one user differ by the name.
    after = None if before is None else MemoryScore(user_id, str(before), 0.0, sequence=before)
    return ScoreQuery(user_id, "recent", limit, after)


READERS: Final = {
    "scores": _Reader(
        _score_query, lambda below, queries: below.load_scores(queries=queries), lambda score: score.memory_id
    ),
    "outcomes": _Reader(
        lambda user_id, before, limit: OutcomeQuery(user_id, limit, before),
        lambda below, queries: below.load_outcomes(queries=queries),
        lambda outcome: outcome.outcome_id,
    ),
    "messages": _Reader(
        lambda talk, after, limit: Window(talk, limit, after=after or 0),
        lambda below, windows: below.load_messages(windows=windows),
        lambda message: message.message_id,
        rising=True,
    ),
}


def pull(
    below: Below,
    pending: Sequence[Pending],
    known: Callable[[str, Sequence[tuple[str, str]]], Known],
    pause: Callable[[], None],
) -> Changes:
    """Return what became of pending work.

    Args:
        below: what is asked.
        pending: the work.
        known: says, for keys of a table, what the replica holds already.
        pause: called after each page of rows.
    """
    changes = Changes()
    wanted: dict[str, list[tuple[str, str]]] = {}
    for work in pending:
        wanted.setdefault(work.kind, []).append((work.thing_id, work.item))
    for name, reader in READERS.items():
        if name in wanted:
            rows = _rows(reader, _loader(reader, below, pause), wanted[name], known(name, wanted[name]))
            changes.rows[name], changes.keys[name] = list(rows.values()), list(dict.fromkeys([*wanted[name], *rows]))
    if "patterns" in wanted:
        _pull_patterns(changes, below, wanted["patterns"], pause)
    for talks in batches(list(dict.fromkeys(talk for talk, _ in wanted.get("conversations", ()))), PAGE):
        changes.first_shown.update(first_kept(below, talks))
        pause()
    return changes


def _loader(reader: _Reader, below: Below, pause: Callable[[], None]) -> _Load:
    def load(queries: Iterable[Any]) -> Mapping[Any, tuple[Any, ...]]:
        pages = reader.load(below, list(dict.fromkeys(queries))) or {}
        pause()
        return pages

    return load


def _rows(reader: _Reader, load: _Load, wanted: Sequence[tuple[str, str]], known: Known) -> dict[tuple[str, str], Any]:
    """Return the present rows of keys, and those beside them that the replica does not hold either, by key."""
    sequences, newest = known
    unseen = [key for key in wanted if key not in sequences] if reader.rising else wanted
    rows = _new_rows(reader, load, unseen, newest)
    missing = {key: sequences[key] for key in wanted if key not in rows and key in sequences}
    return rows | _old_rows(reader, load, missing)


def _new_rows(
    reader: _Reader, load: _Load, wanted: Sequence[tuple[str, str]], newest: Mapping[str, int]
) -> dict[tuple[str, str], Any]:
    """Return the rows of every owner whose sequences the replica has not reached, by key.

    From the oldest up, it ends with the last that is wanted: what is added meanwhile is pending for the next time. From
    the newest down, it ends with a row that the replica holds: one more than is wanted, where nothing is missing.
    """
    left: dict[str, set[str]] = {}
    for owner, item in wanted:
        left.setdefault(owner, set()).add(item)
    beyond = 0 if reader.rising else 1
    limits = {owner: min(len(items) + beyond, PAGE) for owner, items in left.items()}
    found: dict[tuple[str, str], Any] = {}
    asked = {owner: newest.get(owner, 0) if reader.rising else None for owner in limits}
    while asked:
        again: dict[str, int | None] = {}
        for owners in _fitting(asked, limits):
            queries = {owner: reader.query(owner, asked[owner], limits[owner]) for owner in owners}
            pages = load(queries.values())
            for owner, query in queries.items():
                page = pages.get(query, ())
                new = [row for row in page if row.sequence > newest.get(owner, 0)]
                found.update({(owner, reader.item(row)): row for row in new if (owner, reader.item(row)) not in found})
                left[owner].difference_update(reader.item(row) for row in new)
                if new and len(new) == len(page) == query.limit and (left[owner] or not reader.rising):
                    again[owner] = page[-1].sequence
                    limits[owner] = PAGE
        asked = again
    return found


def _fitting(owners: Iterable[str], limits: Mapping[str, int]) -> Iterator[list[str]]:
    """Return the owners in groups whose rows fit into one page."""
    group: list[str] = []
    room = PAGE
    for owner in owners:
        if limits[owner] > room:
            yield group
            group, room = [], PAGE
        group.append(owner)
        room -= limits[owner]
    if group:
        yield group


def _old_rows(reader: _Reader, load: _Load, sequences: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], Any]:
    """Return the rows that are still there of those that the replica holds, each looked up at its sequence."""
    found: dict[tuple[str, str], Any] = {}
    for keys in batches(list(sequences), PAGE):
        queries = {
            key: reader.query(key[0], sequences[key] - 1 if reader.rising else sequences[key] + 1, 1) for key in keys
        }
        pages = load(queries.values())
        for key, query in queries.items():
            for row in pages.get(query, ()):
                if reader.item(row) == key[1]:
                    found[key] = row
    return found


def _pull_patterns(
    changes: Changes, below: Below, wanted: Sequence[tuple[str, str]], pause: Callable[[], None]
) -> None:
    keys = set(wanted)
    rows: list[Pattern] = []
    for users in batches(list(dict.fromkeys(user_id for user_id, _ in wanted)), _USERS):
        found = below.load_patterns(user_ids=users) or {}
        rows += [p for patterns in found.values() for p in patterns if (p.user_id, p.pattern_id) in keys]
        pause()
    changes.rows["patterns"], changes.keys["patterns"] = rows, list(keys)


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return a sequence in parts of at most so many items."""
    return (items[start : start + size] for start in range(0, len(items), size))
