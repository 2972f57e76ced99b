"""One connection that writes, inside a transaction: revisions, sequences, applied changes and pending work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs
import msgspec
from sqlalchemy import bindparam, delete, select

from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine, to_micros
from whisper_persistence_drivers.sql.standing import Counter, Step

if TYPE_CHECKING:
    from whisper_persistence.records.following import FollowedKind, ThingKind
    from whisper_persistence_drivers.sql.chaining import Links

#: How long an applied change is remembered, in microseconds: 30 days.
_REMEMBERED: Final = 30 * 24 * 3_600 * 1_000_000
#: A change whose key ends like this, one in 4,096, takes older ones away; no clock and no thread is needed for it.
_PRUNING: Final = "000"


@lru_cache(maxsize=64)
def _read_followers(followed: str | None) -> tuple[tuple[str, str], ...]:
    return msgspec.json.decode(followed, type=tuple[tuple[str, str], ...]) if followed else ()


class _Statements(NamedTuple):
    add_user: Prepared
    find_applied: Prepared
    add_applied: Prepared
    prune_applied: Prepared
    put_pending: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    applied = tables.applied.c
    known = select(applied.change_id).where(mine(applied), flavour.among(applied.change_id))
    return _Statements(
        add_user=flavour.add_missing(tables.profiles),
        find_applied=flavour.prepare(known),
        add_applied=flavour.add(tables.applied),
        prune_applied=flavour.prepare(
            delete(tables.applied).where(mine(applied), applied.applied_at < bindparam("before"))
        ),
        put_pending=flavour.put(tables.outbox),
    )


@attrs.define
class Transaction(Session):
    """A connection that writes, inside one transaction.

    The first attempt at a batch takes for granted that nothing of it is stored already and that its users are known;
    the database's constraints find out when that is wrong, and the batch is done again carefully.

    Attributes:
        known_users: users that are sure to have a parent row, unless somebody erased them.
        careful: whether to look before writing.
        links: what happens to messages, for the hash chains; ``None`` where there are none.
        erasures: the newest erase of the namespace that was counted.
        met_erased: whether any user was counted who was ever erased.
    """

    known_users: set[str]
    careful: bool = False
    links: Links | None = None
    erasures: int = 0
    met_erased: bool = False
    _followers: tuple[tuple[str, str], ...] = ()
    _new_users: set[str] = attrs.field(factory=set[str])
    _told: list[tuple[str, str, str, int]] = attrs.field(factory=list[tuple[str, str, str, int]])

    def run(self, statement: Prepared, **values: Any) -> int:
        """Run a statement and return how many rows it touched."""
        values["namespace"] = self.namespace
        touched: int = self.flavour.execute(self, statement, values).rowcount
        return touched

    def run_listed(self, statement: Prepared, texts: Iterable[str], **values: Any) -> int:
        """Run a statement over the distinct texts of a list, as `listed` does, and return how many rows it touched."""
        return self.run(statement, listed=self.flavour.pack(sorted(set(texts))), **values)

    def insert(self, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, whose values stand in the order of the statement's names."""
        if rows:
            self.flavour.run_rows(self, statement, rows)

    def run_each(self, statement: Prepared, sets: Sequence[dict[str, Any]]) -> int:
        """Run an UPDATE or DELETE of `Flavour.each` for every set of values; return how many rows it touched."""
        return self.flavour.run_each(self, statement, sets) if sets else 0

    def count(self, kind: ThingKind, raised: Mapping[str, tuple[int, int, int]]) -> dict[str, Counter]:
        """Raise the revision, epoch and sequence of users or of conversations, and return where they stand then.

        Their rows stay locked until the transaction ends; they are taken in the order of their keys, users first.

        Args:
            kind: whether they are users or conversations.
            raised: by how much to raise the three, by user or conversation id.
        """
        keyed = self.keyed(kind, raised)
        rows = [(key, *raised[keyed[key]]) for key in sorted(keyed)]
        counters = {keyed[row[0]]: Counter(*row[1:]) for row in self.flavour.count(self, rows)}
        for counter in counters.values():
            self._followers = self._followers or _read_followers(counter.followed)
        self.erasures = max(self.erasures, *(counter.erasures for counter in counters.values()), 0)
        self.met_erased = self.met_erased or (kind == "user" and any(c.epoch for c in counters.values()))
        return counters

    def hold(self, kind: ThingKind, thing_ids: Iterable[str]) -> None:
        """Lock things before looking at what is stored of them, if this attempt looks at all."""
        if self.careful:
            self.count(kind, dict.fromkeys(thing_ids, (0, 0, 0)))

    def advance(self, kind: ThingKind, items: Sequence[tuple[str, int, int]]) -> list[Step]:
        """Raise the revisions and sequences that the items of a batch need, and return each item's own.

        Args:
            kind: whether the items belong to users or to conversations.
            items: for each, in order: whose it is, 1 if it changes anything or 0, and how many sequences it takes.
        """
        later: dict[str, int] = defaultdict(int)
        untaken: dict[str, int] = defaultdict(int)
        for thing_id, raised, taken in items:
            later[thing_id] += raised
            untaken[thing_id] += taken
        counters = self.count(kind, {thing_id: (later[thing_id], 0, untaken[thing_id]) for thing_id in later})
        steps: list[Step] = []
        for thing_id, raised, taken in items:
            revision, epoch, sequence, cleared, _, erasures = counters[thing_id]
            later[thing_id] -= raised
            steps.append(Step(revision - later[thing_id], epoch, sequence - untaken[thing_id] + 1, cleared, erasures))
            untaken[thing_id] -= taken
        return steps

    def ensure_users(self, user_ids: Iterable[str]) -> None:
        """See to it that every user has the parent row that their records hang on."""
        wanted = set(user_ids) - self._new_users
        if not self.careful:
            wanted -= self.known_users
        if not wanted:
            return
        created = to_micros(datetime.now(UTC))
        self.insert(
            _statements(self.flavour).add_user,
            [(self.namespace, user_id, created, 0, 0, 0) for user_id in sorted(wanted)],
        )
        self._new_users |= wanted

    def fresh(self, changes: Sequence[Any]) -> list[bool]:
        """Say of each change whether it was never applied before, and write down that it is now."""
        ids = [self.thing_key("change", change.change_id) for change in changes]
        find = _statements(self.flavour).find_applied
        known = {row[0] for row in self.listed(find, ids)} if self.careful else set[str]()
        first = {change_id: position for position, change_id in reversed(list(enumerate(ids)))}
        flags = [change_id not in known and first[change_id] == position for position, change_id in enumerate(ids)]
        now = to_micros(datetime.now(UTC))
        new = [(self.namespace, change_id, now) for change_id in first if change_id not in known]
        self.insert(_statements(self.flavour).add_applied, new)
        if any(key.endswith(_PRUNING) for key in ids):
            self.run(_statements(self.flavour).prune_applied, before=now - _REMEMBERED)
        return flags

    def is_followed(self) -> bool:
        """Say whether anybody follows the namespace, once a thing is counted."""
        return bool(self._followers)

    def tell(self, kind: FollowedKind, thing_id: str, item: str, revision: int) -> None:
        """Note that a record changed, once its thing is counted; `finish` adds it to its followers' pending work."""
        if self._followers:
            self._told.append((kind, thing_id, item, revision))

    def tell_of_amendment(self, conversation_id: str, revision: int) -> None:
        """Note that a conversation changed otherwise than by an append."""
        self.tell("conversations", conversation_id, "", revision)
        self.tell("amendments", conversation_id, "", revision)

    def told_things(self) -> dict[str, set[str]]:
        """Return the users and conversations that followers are told of, by the kind of record that changed."""
        things: dict[str, set[str]] = {}
        for kind, thing_id, _, _ in self._told:
            things.setdefault(kind, set()).add(thing_id)
        return things

    def finish(self) -> None:
        """Do what is left before the commit."""
        if self.links is not None:
            self.links.write(self)
        if not self._told:
            return
        pending = {
            (self.namespace, name, kind, thing_id, item): revision
            for kind, thing_id, item, revision in self._told
            for name, wanted in self._followers
            if wanted == kind
        }
        self.insert(
            _statements(self.flavour).put_pending, [(*key, revision) for key, revision in sorted(pending.items())]
        )

    def committed(self) -> None:
        """Remember what the commit made sure."""
        self.known_users |= self._new_users
