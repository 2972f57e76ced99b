"""Walking along the hash chains: the first row of each conversation that is not what its links say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import attrs
from sqlalchemy import BigInteger, bindparam, select

from whisper_persistence.records import ChainProblem, ChainReport
from whisper_persistence_drivers.sql.chain_mark import MARK
from whisper_persistence_drivers.sql.chain_start import read_cleared, read_conversations, read_rows
from whisper_persistence_drivers.sql.chaining import Head, Sealer, digest, load_heads
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine

#: How many links or conversations are read at once.
_PAGE: Final = 2_000

Ask = Callable[..., Any]


class _Statements(NamedTuple):
    links: Prepared
    salts: Prepared
    things: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    chains = flavour.tables.chains
    links, salts, heads = chains.links.c, chains.salts.c, chains.heads.c
    thing, after = bindparam("thing", type_=PlainText), bindparam("after", type_=BigInteger())
    columns = (links.position, links.action, links.sequence, links.digest, links.link)
    page = select(*columns).where(mine(links), links.thing == thing, links.position > after)
    later = heads.thing > bindparam("after", type_=PlainText)
    return _Statements(
        links=flavour.prepare(page.order_by(links.position).limit(_PAGE)),
        salts=flavour.prepare(select(salts.sequence, salts.salt).where(mine(salts), salts.thing == thing)),
        things=flavour.prepare(select(heads.thing).where(mine(heads), later).order_by(heads.thing).limit(_PAGE)),
    )


def verify(
    read: Ask, sealer: Sealer, tier: str, conversation_ids: Sequence[str], anchors: Mapping[str, str]
) -> ChainReport:
    """Verify conversations, each in one state of the database, and say what is wrong with each that is not as it was.

    Args:
        read: runs a function in a session of its own.
        sealer: how hashes are made.
        tier: the driver's name.
        conversation_ids: which; empty for all there are, or ever were.
        anchors: heads that were kept elsewhere, by the keyed hashes of their conversations.
    """
    heads: dict[str, str] = {}
    problems: list[ChainProblem] = []
    conversations = messages = 0
    for thing, name in _wanted(read, conversation_ids, anchors):
        checked = read(_verify_one, sealer, thing, name, anchors.get(thing, ""))
        conversations, messages = conversations + 1, messages + checked.messages
        problems += checked.problems
        heads.update({thing: checked.head} if checked.head else {})
    return ChainReport(tier, bool(sealer.key), conversations, messages, tuple(problems), heads)


def _wanted(read: Ask, names: Sequence[str], anchors: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what to verify: the keyed hash and the name, which is empty where no message is left to tell it."""
    if names:
        yield from read(_keys_of, names).items()
        return
    seen: set[str] = set()
    after = ""
    while found := read(read_conversations, after, _PAGE):
        keys = read(_keys_of, found)
        seen |= keys.keys()
        yield from keys.items()
        after = found[-1]
    after = MARK
    while found := read(_things, after):
        yield from ((thing, "") for thing in found if thing not in seen)
        seen.update(found)
        after = found[-1]
    yield from ((thing, "") for thing in sorted(anchors) if thing not in seen)


def _keys_of(session: Session, names: Sequence[str]) -> dict[str, str]:
    return session.keyed("conversation", names)


def _things(session: Session, after: str) -> list[str]:
    return [row[0] for row in session.rows(_statements(session.flavour).things, after=after)]


@attrs.define
class _Checked:
    """What was found of one conversation: how many messages, where its chain ends, and the first problem."""

    messages: int = 0
    head: str = ""
    problems: list[ChainProblem] = attrs.field(factory=list[ChainProblem])


def _verify_one(session: Session, sealer: Sealer, thing: str, name: str, anchor: str) -> _Checked:
    with session.flavour.one_state(session):
        walk = _Walk(session, sealer, thing, name or thing)
        problem = next(walk.problems(load_heads(session, [thing]).get(thing), name, anchor), None)
    return _Checked(walk.messages, f"{walk.position}:{walk.link}" if walk.link else "", [problem] if problem else [])


@attrs.define
class _Walk:
    """One chain on the way from its first link to its last, and what its links say of the rows."""

    session: Session
    sealer: Sealer
    thing: str
    name: str
    position: int = 0
    link: str = ""
    cleared: int = 0
    messages: int = 0
    digests: dict[int, str] = attrs.field(factory=dict[int, str])

    def problems(self, head: Head | None, name: str, anchor: str) -> Iterator[ChainProblem]:
        """Yield what is wrong: with the links, with their end, and with the rows they are about."""
        anchored, _, kept = anchor.partition(":")
        yield from self._links(int(anchored or 0), kept)
        yield from self._end(head)
        if self.position < int(anchored or 0):
            yield self._problem("missing", None, f"the chain ends before link {anchored}, which was kept elsewhere")
        yield from self._rows(read_rows(self.session, name) if name else [])
        if read_cleared(self.session, self.thing) != self.cleared:
            yield self._problem("altered", None, "the clear mark is not where it was put")

    def _links(self, anchored: int, kept: str) -> Iterator[ChainProblem]:
        while page := self.session.rows(_statements(self.session.flavour).links, thing=self.thing, after=self.position):
            for position, action, sequence, told, link in page:
                if position != self.position + 1:
                    yield self._problem("missing", None, f"link {self.position + 1} of the chain is gone")
                if action == "broken":
                    yield self._problem("altered", None, f"a writer found the chain broken before link {position}")
                    self.link = ""
                if link != self.sealer.link(self.link, self.thing, position, (action, sequence, told)):
                    yield self._problem("altered", sequence, f"link {position} of the chain is not what was written")
                if position == anchored and link != kept:
                    yield self._problem("altered", sequence, f"link {position} is not the one that was kept elsewhere")
                self.position, self.link = position, link
                self._follow(action, sequence, told)

    def _follow(self, action: str, sequence: int, told: str) -> None:
        if action == "clear":
            self.cleared = sequence
        elif action == "remove":
            self.digests.pop(sequence, None)
        elif action != "broken":
            self.digests[sequence] = told

    def _end(self, head: Head | None) -> Iterator[ChainProblem]:
        if head is None:
            if self.position:
                yield self._problem("missing", None, "the head of the chain is gone")
            return
        if head.seal != self.sealer.seal(self.thing, head.position, head.link):
            yield self._problem("altered", None, "the head of the chain is not what was written")
        if (head.position, head.link) != (self.position, self.link):
            yield self._problem("missing", None, f"the chain ends at link {self.position}, not {head.position}")

    def _rows(self, rows: Sequence[Any]) -> Iterator[ChainProblem]:
        """Compare the rows that there are with those that there should be, in the order of both."""
        salts = dict(self.session.rows(_statements(self.session.flavour).salts, thing=self.thing))
        self.messages, found = len(rows), {row[0]: tuple(row[1:]) for row in rows}
        for sequence in sorted(found.keys() | self.digests.keys()):
            row, told = found.get(sequence), self.digests.get(sequence)
            if row is None:
                yield self._problem("missing", sequence, "the message was removed")
            elif told is None:
                yield self._problem("added", sequence, "the message was not written by this store", row[0])
            elif digest(salts.get(sequence, ""), row) != told:
                moved = any(digest(salt, row) == self.digests.get(at) for at, salt in salts.items())
                kind, why = ("reordered", "another place") if moved else ("altered", "another content")
                yield self._problem(kind, sequence, f"the message had {why}", row[0])

    def _problem(self, kind: str, sequence: int | None, detail: str, message_id: str | None = None) -> ChainProblem:
        return ChainProblem(self.name, kind, sequence, message_id, detail)
