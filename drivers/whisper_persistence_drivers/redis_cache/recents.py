"""The recents in Redis: what is kept for each conversation, and what may be done to it, in terms of records."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote

import attrs

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import Message, Receipt
from whisper_persistence_drivers.redis_cache import scripts
from whisper_persistence_drivers.redis_cache.exchange import TOGETHER, Call, Exchange, Sent
from whisper_persistence_drivers.redis_cache.lines import from_lines, to_line
from whisper_persistence_drivers.redis_cache.near import Change, Near
from whisper_persistence_drivers.redis_cache.newest import Newest
from whisper_persistence_drivers.redis_cache.telling import Telling
from whisper_persistence_drivers.redis_cache.written import Written

#: How long a lease holds, in milliseconds: longer than a fill takes, short since nobody else may fill meanwhile.
LEASE: Final = 5_000
#: A revision that no conversation has.
BEYOND: Final = 1 << 52


@attrs.frozen
class Limits:
    """How much is kept, and how long.

    Attributes:
        recent: messages a conversation, at most.
        max_bytes: bytes a conversation, at most.
        near_bytes: bytes that this process holds itself, at most.
        max_memory: bytes that a server may use in all before nothing more is put there; 0 for no bound.
        ttl: seconds until a conversation that nobody reads or writes is forgotten.
        staleness: seconds that recents may be shown for after they were found to be the database's; 0 for none.
    """

    recent: int
    max_bytes: int
    near_bytes: int
    max_memory: int
    ttl: float
    staleness: float


@attrs.frozen
class Hit:
    """Recents that were found.

    Attributes:
        revision: the label.
        whole: whether there are no older messages than these.
        lines: a message a line, oldest first.
        confirmed: when, by this process's clock, they were last certain to be the database's; 0 for never.
        lately: whether that is so short ago that they may be shown unasked.
        moment: the server's time, to confirm them by.
    """

    revision: int
    whole: bool
    lines: bytes = attrs.field(repr=False)
    confirmed: float
    lately: bool
    moment: bytes

    def read(self) -> Newest | None:
        """Return them as messages; ``None`` where they cannot be read."""
        try:
            messages = from_lines(self.lines)
        except StorageDamagedError:
            return None
        return Newest(self.revision, self.whole, messages)


@attrs.frozen
class Lease:
    """Nothing was found, and whoever asked may fill it."""

    token: str


@attrs.define(eq=False)
class Asked:
    """Conversations that were asked for, whose answers are still to come."""

    _recents: Recents
    _token: str
    _conversations: Sequence[str]
    _calls: Sequence[Call]
    _late: int
    _sent: Sent
    _began: float = attrs.field(factory=time.monotonic, init=False)

    def answers(self) -> dict[str, Hit | Lease | None]:
        """Return what each has: ``None`` for nothing that helps. It must be called once, whatever happens."""
        all_found = self._sent.answers()
        self._recents.exchange.counters.appended(all_found[: self._late])
        found = all_found[self._late :][: len(self._calls[:TOGETHER])]
        found += self._recents.exchange.run(self._calls[TOGETHER:])
        return {name: self._read(name, answer) for name, answer in zip(self._conversations, found, strict=True)}

    def _read(self, name: str, answer: Any) -> Hit | Lease | None:
        if answer is None or answer[0] == b"miss":
            return None
        if answer[0] == b"lease":
            return Lease(self._token)
        _, revision, kind, _, age, moment, lines = answer
        confirmed = self._began - age / 1000 if age >= 0 else 0.0
        lately = age >= 0 and self._recents.written.are_in(name, int(revision), confirmed)
        return Hit(int(revision), kind == b"w", lines, confirmed, lately, moment)


@attrs.define(eq=False)
class Recents:
    """What Redis holds of one namespace of one database.

    Attributes:
        exchange: how servers are asked.
        near: what this process holds itself.
        limits: how much is kept.
        prefix: what every key begins with.
        namespace: whose conversations they are.
        written: what this process changed lately.
        telling: what Redis is about to be told.
    """

    exchange: Exchange
    near: Near
    limits: Limits
    prefix: str
    namespace: str
    written: Written = attrs.field(init=False)
    telling: Telling = attrs.field(init=False)
    _confirmed: list[tuple[str, int, bytes]] = attrs.field(factory=list[tuple[str, int, bytes]], init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing written, and nothing to tell."""
        self.written, self.telling = Written(self.limits.staleness), Telling(self._tell)

    def key(self, conversation_id: str) -> str:
        """Return the key of a conversation; what is in its braces decides, in a cluster, which server has it."""
        return f"{self.prefix}{{{quote(self.namespace, safe='')}:{quote(conversation_id, safe='')}}}"

    def ask(self, wanted: Mapping[str, int]) -> Asked:
        """Ask for conversations, and so many of their newest messages each, 0 for all that are there.

        What Redis was not told of them yet goes before, so that they are found with it.
        """
        token = secrets.token_hex(8)
        life, age = self._life(), round(self.limits.staleness * 1000)
        calls = [
            self._call(scripts.READ, conversation, token, life, LEASE, number, age)
            for conversation, number in wanted.items()
        ]
        late = self.telling.take(wanted)
        if len(late) + len(calls) > TOGETHER:
            self._tell(late)
            late = {}
        confirmed, self._confirmed = self._confirmed, []
        told = [self._call(scripts.CONFIRM, *each) for each in confirmed]
        sent = self.exchange.send([*self._appending(late), *calls[:TOGETHER], *told][:TOGETHER])
        return Asked(self, token, list(wanted), calls, len(late), sent)

    def fill(self, token: str, fetched: Mapping[str, Newest]) -> None:
        """Put what was fetched where the token's leases are, and keep them near.

        Of a conversation that had messages and has none now, nothing is put there: a key would name again, for whoever
        asks whether anything is left of it, what was erased.
        """
        gone = [name for name, newest in fetched.items() if newest.revision and not newest.messages]
        calls = [self._call(scripts.RELEASE, name, token) for name in gone]
        for name, newest in fetched.items():
            if name not in gone:
                kept, lines = self._fitting(newest)
                self.near.put(name, kept)
                calls.append(self._filling(token, name, kept, lines))
        answers = self.exchange.run(calls)
        self.exchange.counters.add(refills=answers.count(b"kept"), evictions=answers.count(b"full"))

    def append(self, messages: Sequence[Message], receipts: Sequence[Receipt]) -> None:
        """Add messages that the database has taken: here at once, in Redis soon, since nobody is shown less for it."""
        items: dict[str, list[Change]] = {}
        for message, receipt in zip(messages, receipts, strict=True):
            text = to_line(message, receipt.sequence) if receipt.repeated is False else b""
            items.setdefault(message.conversation_id, []).append((receipt.revision, text))
        for name, changes in items.items():
            self.written.note(name, changes[-1][0])
            self.near.append(name, changes)
        self.telling.add(items)

    def _tell(self, items: Mapping[str, list[Change]]) -> None:
        self.exchange.counters.appended(self.exchange.run(self._appending(items)))

    def _appending(self, items: Mapping[str, list[Change]]) -> list[Call]:
        """Return the calls that append changes in their order, whichever thread was the first to say what it wrote."""
        limits = (self._life(), self.limits.recent, self.limits.max_bytes, self.limits.max_memory)
        ordered = {name: sorted(changes, key=itemgetter(0)) for name, changes in items.items()}
        return [self._call(scripts.APPEND, name, *limits, *chain(*changes)) for name, changes in ordered.items()]

    def drop(self, revisions: Mapping[str, int]) -> list[str]:
        """Remove what lacks the change of each revision; return the conversations that Redis was not told about."""
        return [conversation for conversation, answer in self._drop(revisions, "-") if answer is None]

    def reclaim(self, revisions: Mapping[str, int]) -> tuple[str, dict[str, bytes | None]]:
        """Remove what lacks the change of each revision, for a lease on it; return its token and what was answered."""
        token = secrets.token_hex(8)
        return token, dict(self._drop(revisions, token))

    def confirm(self, found: Mapping[str, Hit]) -> None:
        """Note that recents were found to be the database's; Redis is told with the next question, not for its own."""
        told = [(conversation, hit.revision, hit.moment) for conversation, hit in found.items()]
        self._confirmed = [*self._confirmed, *told][-TOGETHER:]

    def _drop(self, revisions: Mapping[str, int], token: str) -> Iterable[tuple[str, bytes | None]]:
        self.near.drop(revisions)
        for name, revision in revisions.items():
            if revision != BEYOND:
                self.written.note(name, revision)
        calls = [self._call(scripts.DROP, *item, token, LEASE) for item in revisions.items()]
        return zip(revisions, self.exchange.run(calls), strict=True)

    def _fitting(self, newest: Newest) -> tuple[Newest, list[bytes]]:
        """Return as many of the newest messages as there is room for, and their lines."""
        lines = [to_line(message, message.sequence) for message in newest.messages]
        fitting, size = 0, 0
        while fitting < len(lines) and size + len(lines[-1 - fitting]) < self.limits.max_bytes:
            fitting, size = fitting + 1, size + len(lines[-1 - fitting]) + 1
        gone = len(lines) - fitting
        return Newest(newest.revision, newest.whole and not gone, newest.messages[gone:]), lines[gone:]

    def _filling(self, token: str, conversation_id: str, newest: Newest, lines: list[bytes]) -> Call:
        head = (newest.revision, "w" if newest.whole else "p", len(lines))
        text = b"".join(line + b"\n" for line in lines)
        return self._call(scripts.FILL, conversation_id, token, *head, self._life(), self.limits.max_memory, text)

    def _call(self, script: Any, conversation_id: str, *arguments: Any) -> Call:
        return Call(script, self.key(conversation_id), arguments)

    def _life(self) -> int:
        return max(1, round(self.limits.ttl * 1000))
