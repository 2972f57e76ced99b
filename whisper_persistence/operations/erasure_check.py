"""Reading every tier of a store again after an erase: each is asked by itself, past the tiers above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from whisper_persistence.errors import PersistenceError
from whisper_persistence.hookspecs import Below
from whisper_persistence.operations.reading import Report, belongs_to, walk
from whisper_persistence.records import RECORD_KINDS, OutcomeQuery, Page, ScoreQuery, Thing, Window, checks
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store

#: How each loading hook is asked for what it has of a user.
_LOADS: Final[Mapping[str, Callable[[Below, str], Any]]] = {
    "load_strategies": lambda hook, user: hook.load_strategies(user_ids=[user]),
    "load_outcomes": lambda hook, user: hook.load_outcomes(queries=[OutcomeQuery(user)]),
    "load_statistics": lambda hook, user: hook.load_statistics(user_ids=[user]),
    "load_scores": lambda hook, user: hook.load_scores(queries=[ScoreQuery(user)]),
    "load_patterns": lambda hook, user: hook.load_patterns(user_ids=[user]),
    "load_preferences": lambda hook, user: hook.load_preferences(user_ids=[user]),
}
#: How many windows are asked for at once, each of which may show a thousand messages.
_WINDOWS: Final = 50


@attrs.frozen
class TierCheck:
    """What reading one tier again found.

    Attributes:
        tier: the driver's name.
        asked: the hooks that it answers and that were asked.
        found: how much of the users each of them still shows; empty is as it should be.
        problem: why the tier could not be read to its end, or ``None``.
    """

    tier: str
    asked: tuple[str, ...] = ()
    found: dict[str, int] = attrs.field(factory=dict[str, int])
    problem: str | None = None

    def is_clean(self) -> bool:
        """Return whether the tier was read, and nothing was found."""
        return not self.found and self.problem is None


def check_tiers(
    store: Store, user_ids: Sequence[str], conversations: Sequence[str], report: Report
) -> tuple[TierCheck, ...]:
    """Read every tier of a store again.

    Args:
        store: the store.
        user_ids: of whom nothing should be found.
        conversations: where they took part, for the windows to look into.
        report: called after each page that is read.
    """
    return tuple(_check_tier(store, name, user_ids, conversations, report) for name in store.chain.drivers)


def _check_tier(
    store: Store, name: str, user_ids: Sequence[str], conversations: Sequence[str], report: Report
) -> TierCheck:
    hook = store.chain.starting_at(name)
    found: dict[str, int] = {}
    asked: list[str] = []
    try:
        finds = store.chain.has(name, "scan_messages")
        for question, count in _questions(hook, user_ids, conversations, report):
            if store.chain.has(name, question) and not (finds and question == "scan"):
                asked.append(question)
                left = count()
                found.update({question: left} if left else {})
    except PersistenceError as error:
        return TierCheck(name, tuple(asked), found, str(error))
    return TierCheck(name, tuple(asked), found)


def _questions(
    hook: Below, user_ids: Sequence[str], conversations: Sequence[str], report: Report
) -> Iterator[tuple[str, Callable[[], int]]]:
    for name, load in _LOADS.items():
        yield name, partial(_count_loaded, load, hook, user_ids)
    yield "load_messages", partial(_count_shown, hook, user_ids, conversations)
    yield "scan_messages", partial(_count_found, hook, user_ids, report)
    yield "scan", partial(_count_scanned, hook, frozenset(user_ids), report)
    yield "load_revisions", partial(_count_unmarked, hook, user_ids)


def _count_loaded(load: Callable[[Below, str], Any], hook: Below, user_ids: Sequence[str]) -> int:
    return sum(len(load(hook, user) or ()) for user in user_ids)


def _count_shown(hook: Below, user_ids: Sequence[str], conversations: Sequence[str]) -> int:
    """Return how many messages windows show of users, whom they concern or who wrote them."""
    users = frozenset(user_ids)
    windows = [Window(talk, user_id=user) for talk in conversations for user in user_ids]
    windows += [Window(talk, limit=checks.MAX_BATCH) for talk in conversations]
    return sum(
        sum(belongs_to(message, users) for message in shown)
        for start in range(0, len(windows), _WINDOWS)
        for shown in (hook.load_messages(windows=windows[start : start + _WINDOWS]) or {}).values()
    )


def _count_found(hook: Below, user_ids: Sequence[str], report: Report) -> int:
    count = 0
    for user_id in user_ids:
        for page in walk(partial(_found, hook, user_id)):
            count += len(page.records)
            report("reading", "messages", len(page.records))
    return count


def _found(hook: Below, user_id: str, cursor: str | None) -> Page | None:
    return hook.scan_messages(user_id=user_id, cursor=cursor, limit=checks.MAX_BATCH)


def _count_scanned(hook: Below, users: frozenset[str], report: Report) -> int:
    count = 0
    for kind in RECORD_KINDS:
        for page in walk(partial(_scanned, hook, kind)):
            count += sum(belongs_to(record, users) for record in page.records)
            report("reading", kind, len(page.records))
    return count


def _scanned(hook: Below, kind: RecordKind, cursor: str | None) -> Page | None:
    return hook.scan(kind=kind, cursor=cursor, limit=checks.MAX_BATCH)


def _count_unmarked(hook: Below, user_ids: Sequence[str]) -> int:
    """Return how many users have no epoch that says that they were erased."""
    things = [Thing("user", user) for user in user_ids]
    known = hook.load_revisions(things=things)
    return 0 if known is None else sum(thing not in known or not known[thing].epoch for thing in things)
