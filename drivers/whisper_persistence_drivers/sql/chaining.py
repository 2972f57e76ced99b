"""Tamper evidence: a hash chain per conversation, written in the transaction that changes the messages.

**What it is.** Everything that happens to a conversation's messages adds a *link*: a row was added, edited (or
redacted) or removed (erased or expired), or the clear mark moved. A link holds its position, the sequence it is about,
a digest of the row as it is stored, and a hash over all that and the link before it; with a key the hash is
HMAC-SHA-256, without it SHA-256. The *head* holds the last position and hash, *sealed* by another hash with the key.

**Why every change behind our back is found.** The links are replayed: they say which rows there are and the digest of
each. Altering a row breaks its digest; exchanging two breaks both (the sequence is in the link); removing one leaves a
link without a row; adding one, a row without a link. Altering, removing or moving a link breaks its hash or its
successor's, or leaves a gap before the head; cutting off the newest links and rows leaves a head that names what is not
there, and no older head can be sealed without the key. A writer that finds head and links disagreeing adds a link that
says so and goes on: it neither refuses the bot's words nor mends the evidence.

**Why what is legitimate raises no alarm.** An edit, redaction, clear mark, expiry and erase go through the same
transactions and add links of their own, so the chain is never rewritten and verifies at every commit. The row of the
conversation in ``revisions`` is locked from before its messages change to the commit, so the links of several processes
stand in the order of their commits. An import or copy appends to the chains of where it goes; a restored SQLite file
brings its chains along, and who is erased again from it is linked as erased.

**Why it keeps nothing of somebody erased.** Chains go by the keyed hash of the conversation, as revisions do. A digest
is taken with a random salt, kept apart; an edit replaces the salt and a removal deletes it, and a digest without its
salt says nothing, not even to somebody who guesses the text.

**Not covered.** Without a key, whoever writes to the database can compute a whole chain anew: that finds accidents and
carelessness, not malice. With a key, whoever has the key can do the same, which includes the bot's own process. What
was there when chains were switched on is taken as it was. Replacing everything by an earlier, true state of the same
database (an old backup), or removing a conversation with its chain, looks consistent from inside; it is found by heads
that were kept elsewhere (`verify --json`, compared by `verify --against`). Strategies, statistics and search indexes
have no chain.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import attrs
from sqlalchemy import delete, func, select

from whisper_persistence.codec import encode
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.transaction import Transaction

#: What a link says: the last one, that the writer found head and links disagreeing.
Action = Literal["add", "edit", "remove", "clear", "broken"]
#: The columns of a message that its digest is over.
DIGESTED: Final = ("message_id", "user_id", "other_author", "record")


class Event(NamedTuple):
    """What happened to a message, whose columns are given where it is there afterwards."""

    action: Action
    sequence: int
    row: tuple[Any, ...] | None = None


class Head(NamedTuple):
    """The end of a chain: the last position and hash, the seal over both, and the last position of any link."""

    position: int
    link: str
    seal: str
    last: int | None


@attrs.frozen
class Sealer:
    """How hashes are made.

    Attributes:
        key: the operator's key; empty for plain hashes.
    """

    key: bytes = attrs.field(repr=False)

    def hash(self, *parts: Any) -> str:
        """Return the hash of some texts and numbers, in their order."""
        text = encode(parts).encode()
        return (hmac.new(self.key, text, hashlib.sha256) if self.key else hashlib.sha256(text)).hexdigest()

    def link(self, previous: str, thing: str, position: int, event: tuple[str, int, str]) -> str:
        """Return the hash of one link: event is its action, sequence and digest."""
        return self.hash("link", previous, thing, position, *event)

    def seal(self, thing: str, position: int, link: str) -> str:
        """Return the seal of a head."""
        return self.hash("head", thing, position, link)

    def fingerprint(self) -> str:
        """Return what tells keys apart, and gives none away."""
        return self.hash("key")[:16]


def digest(salt: str, row: Sequence[Any]) -> str:
    """Return the digest of a message's columns."""
    return hashlib.sha256(f"{salt}{encode(list(row))}".encode()).hexdigest()


class _Statements(NamedTuple):
    heads: Prepared
    last: Prepared
    add_links: Prepared
    put_salts: Prepared
    remove_salts: Prepared
    put_heads: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    chains = flavour.tables.chains
    links, heads, salts = chains.links.c, chains.heads.c, chains.salts.c
    last = select(func.max(links.position)).where(mine(links), links.thing == heads.thing).scalar_subquery()

    def last_of(given: Mapping[str, Any]) -> Any:
        return select(func.max(links.position)).where(mine(links), links.thing == given["thing"])

    def salt_of(given: Mapping[str, Any]) -> Any:
        same = (salts.thing == given["thing"], salts.sequence == given["sequence"])
        return delete(chains.salts).where(mine(salts), *same)

    found = select(heads.thing, heads.position, heads.link, heads.seal, last)
    return _Statements(
        heads=flavour.prepare(found.where(mine(heads), flavour.among(heads.thing))),
        last=flavour.each(last_of, thing=PlainText),
        add_links=flavour.add(chains.links),
        put_salts=flavour.put(chains.salts),
        remove_salts=flavour.each(salt_of, thing=PlainText, sequence=salts.sequence.type),
        put_heads=flavour.put(chains.heads),
    )


def load_heads(session: Session, things: Iterable[str]) -> dict[str, Head]:
    """Return the heads of chains, by the keyed hash of their conversations."""
    return {row[0]: Head(*row[1:]) for row in session.listed(_statements(session.flavour).heads, things)}


@attrs.define
class Links:
    """What happens to messages in one transaction, and the links that it becomes before the commit.

    Attributes:
        sealer: how hashes are made.
    """

    sealer: Sealer
    _events: dict[str, list[Event]] = attrs.field(factory=dict[str, list[Event]])
    _salts: dict[tuple[str, int], str] = attrs.field(factory=dict[tuple[str, int], str])
    _rows: list[tuple[Any, ...]] = attrs.field(factory=list[tuple[Any, ...]])

    def note(self, conversation_id: str, event: Event) -> None:
        """Note what happened to a message of a conversation that is locked."""
        self._events.setdefault(conversation_id, []).append(event)

    def write(self, transaction: Transaction) -> None:
        """Add the links of all that was noted, and move the heads."""
        if not self._events:
            return
        keyed = {key: self._events[name] for key, name in transaction.keyed("conversation", self._events).items()}
        found = load_heads(transaction, keyed)
        orphans = self._orphans(transaction, [thing for thing in keyed if thing not in found])
        space, sql = transaction.namespace, _statements(transaction.flavour)
        heads: list[tuple[Any, ...]] = []
        for thing in sorted(keyed):
            position, link = self._extend(space, thing, found.get(thing) or orphans[thing], keyed[thing])
            heads.append((space, thing, position, link, self.sealer.seal(thing, position, link)))
        transaction.insert(sql.add_links, self._rows)
        transaction.insert(sql.put_salts, [(space, *key, salt) for key, salt in sorted(self._salts.items()) if salt])
        gone = [{"thing": thing, "sequence": at} for (thing, at), salt in self._salts.items() if not salt]
        transaction.run_each(sql.remove_salts, gone)
        transaction.insert(sql.put_heads, heads)

    def _orphans(self, transaction: Transaction, things: Sequence[str]) -> dict[str, Head]:
        """Return how chains without a head end: with nothing, unless somebody removed their heads alone."""
        rows = transaction.each(_statements(transaction.flavour).last, [{"thing": thing} for thing in things])
        return {thing: Head(0, "", "", found[0][0]) for thing, found in zip(things, rows, strict=True)}

    def _extend(self, space: str, thing: str, head: Head, events: Sequence[Event]) -> tuple[int, str]:
        """Make the links of one conversation; return the position and hash of the last."""
        position, link = head.position, head.link
        sealed = head.seal == self.sealer.seal(thing, position, link) if head.seal else head.last is None
        if not sealed or (head.last or 0) != position:
            position, link = max(position, head.last or 0), ""
            events = [Event("broken", 0), *events]
        for event in events:
            position += 1
            told = (event.action, event.sequence, self._digest(thing, event))
            link = self.sealer.link(link, thing, position, told)
            self._rows.append((space, thing, position, *told, link))
        return position, link

    def _digest(self, thing: str, event: Event) -> str:
        if event.action in ("clear", "broken"):
            return ""
        salt = self._salts[thing, event.sequence] = secrets.token_hex(16) if event.row is not None else ""
        return "" if event.row is None else digest(salt, event.row)
