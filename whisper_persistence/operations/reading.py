"""Reading a whole store: page by page, user by user, and what of a conversation is cleared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import msgspec

from whisper_persistence.clearing import first_shown
from whisper_persistence.errors import NotSupportedError, StorageDamagedError
from whisper_persistence.records import Message, OutcomeQuery, Page, ScoreQuery, checks
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store
from whisper_persistence.validation import validate_id

#: What is told of the work: what is being done, with which kind, and how many records more are done.
Report = Callable[[str, RecordKind, int], None]

#: The kinds whose records have an order among those of their user.
HistoryKind = Literal["outcomes", "scores"]

_sorted: Final = msgspec.json.Encoder(order="sorted")


def walk(ask: Callable[[str | None], Page | None], cursor: str | None = None) -> Iterator[Page]:
    """Yield page after page of what a scan answers, each asked for with the cursor of the one before.

    Args:
        ask: the scan, as a function of a cursor; it answers ``None`` where there is nobody to ask.
        cursor: where to begin; ``None`` for the beginning.
    """
    while (page := ask(cursor)) is not None:
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def scan_pages(store: Store, kind: RecordKind, cursor: str | None = None) -> Iterator[Page]:
    """Yield the records of a kind that can be read, a page at a time; `Page.damaged` names the others.

    Args:
        store: where to look.
        kind: which kind.
        cursor: `Page.cursor` of the page to go on after, or ``None`` to begin.
    """
    return walk(lambda after: store.scan(kind, after, checks.MAX_BATCH), cursor)


def read_pages(store: Store, kind: RecordKind, cursor: str | None = None) -> Iterator[Page]:
    """Yield every record of a kind, as `scan_pages` does.

    Raises:
        StorageDamagedError: a record cannot be read, so that what is made of the others would not be whole.
    """
    for page in scan_pages(store, kind, cursor):
        yield whole(kind, page)


def whole(kind: RecordKind, page: Page) -> Page:
    """Return a page of which nothing is left out.

    Raises:
        StorageDamagedError: something cannot be read.
    """
    if page.damaged:
        raise _damaged(f"{len(page.damaged):,} or more stored {kind}")
    return page


def read_whole_history(store: Store, kind: HistoryKind, user_id: str) -> list[Any]:
    """Return all outcomes, or all scores, of a user, the oldest first.

    It costs in proportion to them, unless something was found damaged: loads leave that out, and a scan of all users
    tells whether it was theirs.

    Raises:
        StorageDamagedError: some cannot be read; says how many.
    """
    found = read_histories(store, kind, [user_id]).get(user_id, [])
    if any(tier.details.get("damaged") for tier in store.check_health()):
        keys = (key for page in scan_pages(store, kind) for key in page.damaged)
        lost = sum(key.startswith(f"{user_id} ") for key in keys)
        if lost:
            raise _damaged(f"{lost:,} {kind} of the user")
    return found


def _damaged(what: str) -> StorageDamagedError:
    return StorageDamagedError(
        f"{what} cannot be read: name them by whisper-persistence verify --records, then restore them from a backup or "
        "erase their users"
    )


def belongs_to(record: Any, users: frozenset[str]) -> bool:
    """Say whether a record is one of these users': it is about them, or they wrote it."""
    return record.belongs_to(users) if isinstance(record, Message) else record.user_id in users


def read_messages_of(store: Store, user_id: str) -> Iterator[Page]:
    """Yield a user's messages, those about them and those they wrote, in the order of a scan.

    It costs in proportion to them; where a driver of the chain cannot find them, all messages are walked through.

    Raises:
        NotSupportedError: the chain keeps no messages.
    """
    validate_id("user_id", user_id)
    if not finds_messages(store):
        for page in scan_pages(store, "messages"):
            wanted = frozenset([user_id])
            yield attrs.evolve(page, records=tuple(record for record in page.records if belongs_to(record, wanted)))
        return
    yield from walk(lambda after: _find_messages(store, user_id, after))


def _find_messages(store: Store, user_id: str, cursor: str | None) -> Page:
    found = store.chain.hook.scan_messages(user_id=user_id, cursor=cursor, limit=checks.MAX_BATCH)
    if found is None:
        raise NotSupportedError("no driver of the chain keeps messages: list one that does")
    return found


def finds_messages(store: Store) -> bool:
    """Say whether every driver that has messages can find one user's; one that cannot would be passed over."""
    chain = store.chain
    return all(chain.has(name, "scan_messages") for name in chain.drivers if chain.has(name, "scan"))


def conversations_of(store: Store, user_ids: Iterable[str], report: Report | None = None) -> list[str]:
    """Return the conversations that users take part in, as far as that can be told.

    Args:
        store: where to look.
        user_ids: whose.
        report: called after each page that is read, if at all.
    """
    found: dict[str, None] = {}
    try:
        for user_id in user_ids:
            for page in read_messages_of(store, user_id):
                found.update((message.conversation_id, None) for message in page.records)
                if report is not None:
                    report("looking for", "messages", len(page.records))
    except NotSupportedError:
        return []
    return list(found)


def canonical(record: Any) -> bytes:
    """Return a record as JSON that differs where records differ, apart from the position that the store gave."""
    plain = msgspec.to_builtins(record)
    plain.pop("sequence", None)
    return _sorted.encode(plain)


def users_of(records: Iterable[Any]) -> list[str]:
    """Return whose these records are, each user once."""
    return list(dict.fromkeys(record.user_id for record in records))


def read_histories(store: Store, kind: HistoryKind, user_ids: Sequence[str]) -> dict[str, list[Any]]:
    """Return all outcomes, or all scores, of these users, the oldest first, by user id."""
    outcomes = kind == "outcomes"
    load: Callable[[Any], Mapping[Any, tuple[Any, ...]]] = store.load_outcomes if outcomes else store.load_scores
    queries: list[Any] = [
        OutcomeQuery(user_id, checks.MAX_BATCH) if outcomes else ScoreQuery(user_id, "recent", checks.MAX_BATCH)
        for user_id in user_ids
    ]
    found: dict[str, list[Any]] = {}
    while queries:
        pages = load(queries)
        for query, page in pages.items():
            found.setdefault(query.user_id, []).extend(page)
        queries = [_after(query, page[-1]) for query, page in pages.items() if len(page) == query.limit]
    return {user_id: records[::-1] for user_id, records in found.items()}


def _after(query: OutcomeQuery | ScoreQuery, last: Any) -> OutcomeQuery | ScoreQuery:
    if isinstance(query, OutcomeQuery):
        return attrs.evolve(query, before=last.sequence)
    return attrs.evolve(query, after=last)


def load_whole(store: Store, kind: RecordKind, user_ids: Sequence[str]) -> list[Any]:
    """Return the whole records that users have of one kind, which has no history."""
    if kind == "patterns":
        return [pattern for patterns in store.load_patterns(user_ids).values() for pattern in patterns]
    loads: dict[str, Callable[[Sequence[str]], Mapping[str, Any]]] = {
        "strategies": store.load_strategies,
        "statistics": store.load_statistics,
        "preferences": store.load_preferences,
    }
    return list(loads[kind](user_ids).values())


def find_cleared(store: Store, messages: Sequence[Message]) -> list[bool]:
    """Return for each message of a scan whether its conversation was cleared after it."""
    shown = first_shown(store.load_messages, (message.conversation_id for message in messages))
    firsts = (shown.get(message.conversation_id) for message in messages)
    return [first is None or (message.sequence or 0) < first for message, first in zip(messages, firsts, strict=True)]
