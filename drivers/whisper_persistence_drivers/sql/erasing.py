"""Forgetting users."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import attrs
from sqlalchemy import ColumnElement, Select, Table, and_, delete, literal_column, select

from whisper_persistence.records import Tombstone
from whisper_persistence.records.following import FollowedKind
from whisper_persistence_drivers.sql.chaining import Event
from whisper_persistence_drivers.sql.erasures import await_followers, load_erasures
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import mine
from whisper_persistence_drivers.sql.standing import Counter
from whisper_persistence_drivers.sql.tombstones import put_tombstones
from whisper_persistence_drivers.sql.transaction import Transaction

#: What a user owns, with the column that names each record to followers.
_OWNED: tuple[tuple[FollowedKind, str | None], ...] = (
    ("strategies", None),
    ("outcomes", "outcome_id"),
    ("statistics", None),
    ("scores", "memory_id"),
    ("patterns", "pattern_id"),
    ("preferences", None),
)


class _Statements(NamedTuple):
    everybody: list[Prepared]
    spoken_in: list[Prepared]
    hold_profiles: Prepared
    remove_messages: list[Prepared]
    remove_profiles: Prepared
    find: dict[str, Prepared]
    remove: dict[str, Prepared]


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    messages, profiles = tables.messages.c, tables.profiles.c
    gone = (messages.conversation_id, messages.message_id, messages.sequence)
    ways, own = _ways(flavour), _theirs(flavour, profiles)
    owned = {kind: (getattr(tables, kind), item) for kind, item in _OWNED}
    return _Statements(
        everybody=[
            flavour.prepare(select(profiles.user_id).where(mine(profiles))),
            flavour.prepare(
                select(messages.other_author).where(mine(messages), messages.other_author.is_not(None)).distinct()
            ),
        ],
        spoken_in=[flavour.prepare(select(messages.conversation_id).where(way)) for way in ways],
        hold_profiles=flavour.prepare(select(profiles.user_id).where(own).order_by(profiles.user_id).with_for_update()),
        remove_messages=[flavour.prepare(delete(tables.messages).where(way).returning(*gone)) for way in ways],
        remove_profiles=flavour.prepare(delete(tables.profiles).where(own)),
        find={kind: flavour.prepare(_named(flavour, table, item)) for kind, (table, item) in owned.items()},
        remove={
            kind: flavour.prepare(delete(table).where(_theirs(flavour, table.c))) for kind, (table, _) in owned.items()
        },
    )


def _theirs(flavour: Flavour, columns: Any) -> ColumnElement[bool]:
    return and_(mine(columns), flavour.among(columns.user_id))


def _named(flavour: Flavour, table: Table, item: str | None) -> Select[Any, Any]:
    nothing: ColumnElement[Any] = literal_column("''")
    return select(table.c.user_id, nothing if item is None else table.c[item]).where(_theirs(flavour, table.c))


def _ways(flavour: Flavour) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the two ways a message is a user's: it concerns them, or they wrote it.

    Each has its index. Asked for both at once, SQLite walks through every message of the namespace.
    """
    messages = flavour.tables.messages.c
    return _theirs(flavour, messages), and_(mine(messages), flavour.among(messages.other_author))


@attrs.frozen
class Erased:
    """What an erase did.

    Attributes:
        counts: how many records went, by kind.
        tombstones: one for each user.
        noted: whether somebody noted the erase, and will settle it.
    """

    counts: dict[str, int]
    tombstones: tuple[Tombstone, ...]
    noted: bool


def erase_users(transaction: Transaction, user_ids: Sequence[str]) -> Erased:
    """Remove everything of these users."""
    users = transaction.count("user", dict.fromkeys(user_ids, (1, 1, 0)))
    return _erase(transaction, users)


def erase_again(transaction: Transaction, tombstones: Sequence[Tombstone]) -> Erased:
    """Remove everything of the users whom tombstones name and who were not erased as often as those say."""
    wanted = {tomb.thing: tomb.epoch for tomb in sorted(tombstones, key=lambda tomb: tomb.epoch)}
    found = {transaction.thing_key("user", user): user for user in _everybody(transaction)}
    named = {user: wanted[thing] for thing, user in found.items() if thing in wanted}
    present = transaction.count("user", dict.fromkeys(named, (0, 0, 0)))
    late = {user: epoch - present[user].epoch for user, epoch in named.items() if present[user].epoch < epoch}
    return _erase(transaction, transaction.count("user", {user: (1, missing, 0) for user, missing in late.items()}))


def _everybody(transaction: Transaction) -> set[str]:
    return {row[0] for statement in _statements(transaction.flavour).everybody for row in transaction.rows(statement)}


def _erase(transaction: Transaction, users: dict[str, Counter]) -> Erased:
    """Remove everything of users whose revision and epoch are raised already."""
    sql = _statements(transaction.flavour)
    spoken_in = {row[0] for statement in sql.spoken_in for row in transaction.listed(statement, users)}
    put_tombstones(transaction, users)
    conversations = transaction.count("conversation", dict.fromkeys(spoken_in, (1, 0, 0)))
    _tell(transaction, users)
    counts = {kind: transaction.run_listed(remove, users) for kind, remove in sql.remove.items()}
    counts["messages"] = _remove_messages(transaction, list(users), conversations)
    transaction.run_listed(sql.remove_profiles, users)
    transaction.known_users.difference_update(users)
    await_followers(transaction, {"user": users, "conversation": conversations})
    tombstones = [Tombstone(transaction.thing_key("user", user), counter.epoch) for user, counter in users.items()]
    return Erased(counts, tuple(tombstones), set(users) <= set(load_erasures(transaction)))


def _remove_messages(transaction: Transaction, user_ids: Sequence[str], counted: dict[str, Counter]) -> int:
    """Remove the users' messages, also those that others committed meanwhile to conversations not yet counted.

    From holding their profiles on, no message that concerns the users can be added by anybody.
    """
    sql = _statements(transaction.flavour)
    transaction.listed(sql.hold_profiles, user_ids)
    gone = [row for statement in sql.remove_messages for row in transaction.listed(statement, user_ids)]
    joined = {row[0] for row in gone} - counted.keys()
    counted.update(transaction.count("conversation", dict.fromkeys(joined, (1, 0, 0))))
    for conversation_id, message_id, sequence in gone:
        revision = counted[conversation_id].revision
        transaction.tell("messages", conversation_id, message_id, revision)
        transaction.tell_of_amendment(conversation_id, revision)
        if transaction.links is not None:
            transaction.links.note(conversation_id, Event("remove", sequence))
    return len(gone)


def _tell(transaction: Transaction, users: dict[str, Counter]) -> None:
    """Tell followers of every record of the users that is about to go; read only where there are followers."""
    if not any(counter.followed for counter in users.values()):
        return
    sql = _statements(transaction.flavour)
    for kind, _ in _OWNED:
        for user_id, item in transaction.listed(sql.find[kind], users):
            transaction.tell(kind, user_id, item, users[user_id].revision)
