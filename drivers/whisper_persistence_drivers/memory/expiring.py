"""Removing what policies no longer keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from whisper_persistence.codec import decoder
from whisper_persistence.records import RECORD_KINDS, Retention, StatisticsChange
from whisper_persistence.records.following import FollowedKind
from whisper_persistence.records.kinds import MOMENTS, RecordKind
from whisper_persistence_drivers.memory.learning import update_statistics
from whisper_persistence_drivers.memory.log import Log, MessageRow
from whisper_persistence_drivers.memory.maintenance import erase_messages
from whisper_persistence_drivers.memory.state import State, User

#: Removing something is no news about a user: it leaves the time of the last news as it is.
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_READ: Final[dict[RecordKind, Callable[[str], Any]]] = {kind: decoder(record) for kind, record in RECORD_KINDS.items()}


class _Aged(NamedTuple):
    """A record: its time, its id, whom it concerns, and the user who wrote it, where that is another one."""

    moment: datetime
    item: str
    user_id: str
    author_id: str | None = None


def expire(state: State, policies: Sequence[Retention], *, dry_run: bool) -> dict[str, int]:
    """Remove what the policies no longer keep, or only count it, and return how many records of each kind."""
    counts: dict[str, int] = {}
    for kind in RECORD_KINDS:
        ours = [policy for policy in policies if policy.kind == kind]
        if ours:
            counts[kind] = _expire_kind(state, kind, ours, dry_run=dry_run)
    return counts


def _expire_kind(state: State, kind: RecordKind, policies: Sequence[Retention], *, dry_run: bool) -> int:
    left = min((policy.limit for policy in policies if policy.limit is not None), default=None)
    gone = 0
    for thing_id in sorted(state.conversations if kind == "messages" else state.users):
        newest_first = list(_newest_first(state, kind, thing_id))
        expired = [
            row.item
            for place, row in enumerate(newest_first, 1)
            if any(policy.drops(row.moment, place, row.user_id, row.author_id) for policy in policies)
        ][::-1]
        items = expired if left is None else expired[: left - gone]
        gone += len(items)
        if items and not dry_run:
            _remove(state, kind, thing_id, items)
    return gone


def _newest_first(state: State, kind: RecordKind, thing_id: str) -> Iterator[_Aged]:
    if kind == "messages":
        for _, row in state.conversations[thing_id].messages.newest(None):
            yield _Aged(_moment(kind, row), row.item, row.user_id, row.author_id or None)
        return
    user = state.users[thing_id]
    if kind in ("outcomes", "scores"):
        log: Log[Any] = getattr(user, kind)
        yield from (_Aged(_moment(kind, row), row.item, thing_id) for _, row in log.newest(None))
    elif kind != "statistics" or not user.scores:
        texts = user.tables.get(kind, {})
        rows = [_Aged(getattr(_READ[kind](text), MOMENTS[kind]), item, thing_id) for item, text in texts.items()]
        yield from sorted(rows, reverse=True)


def _moment(kind: RecordKind, row: MessageRow | Any) -> datetime:
    moment: datetime = getattr(_READ[kind](row.text), MOMENTS[kind])
    return moment


def _remove(state: State, kind: RecordKind, thing_id: str, items: Sequence[str]) -> None:
    if kind == "messages":
        erase_messages(state, thing_id, items)
    elif kind == "scores":
        update_statistics(state, [StatisticsChange(thing_id, forgotten=items, timestamp=_LONG_AGO)])
    else:
        _remove_of_user(state, kind, thing_id, state.users[thing_id], items)


def _remove_of_user(state: State, kind: FollowedKind, user_id: str, user: User, items: Sequence[str]) -> None:
    if kind == "outcomes":
        user.outcomes.remove(items)
    else:
        for item in items:
            del user.tables[kind][item]
    user.revision += 1
    for item in items:
        state.notify(kind, user_id, item, user.revision)
