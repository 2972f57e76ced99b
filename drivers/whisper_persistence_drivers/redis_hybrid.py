"""The newest messages of each conversation in Redis or Valkey, over whatever keeps them for good.

Writes go below first and are then added in Redis; reads are answered from Redis where it is provable that nothing is
missing. Redis may be away, emptied, full, restarted with what it held long ago, or shared with processes that cannot
reach it: answers stay those of the database, only slower.

**Why no read is stale.** A conversation's *revision*, kept by the database, grows by one with each message and by some
with every edit, mark, expiry and erase. What is written (*committed*) at revision n is called change n. Redis holds
for a conversation nothing, a *lease* or *recents*, which carry a label L.

1. *Recents labelled L are the newest messages that the database showed at revision L.* They arise from a fill or an
   append. A fill asks for the revision before it reads the messages and again after, and puts them there only if it
   was the same, which is the label: nothing changed between, so they stood there at that revision. An append of change
   n is accepted only upon label n - 1 (``cas``) and of a message of which it is known that change n stored it; the new
   label is n. No other change moves a label: it drops the recents (``DROP``), and so does an append upon anything but
   its predecessor.
2. *Strict reading* (``rev_read``): the revision is asked for within the call, and only recents with that very label are
   shown, whether they were fetched before or after. By step 1 they are what the database showed at the moment when it
   was asked, which holds every write acknowledged before the call, of whichever process. This needs nothing of Redis
   but that it gives back what it was given: a lost, late or missed write there can only make labels differ, and then
   the database answers.
3. *What a process holds itself*, in front of Redis, obeys steps 1 and 2: it comes from recents that were shown or
   filled, is appended to by the same rule, and has the same label to be checked by. While that is the database's
   revision, Redis is not asked, and nothing is decoded.
4. *Nothing that was edited, cleared or erased stays in Redis.* An append takes nothing away: recents that lack it have
   a label below it, so Redis is told some milliseconds later, in any order, while nobody waits, and nobody tells it
   again. Whoever commits any other change n (an *amendment*) drops the recents. Who dies or finds Redis away before
   leaves it to the outbox, where the commit itself put it (``outbox``); a relay drops what lacks change n, puts the
   present state there instead (``state_push``) and only then clears the outbox, up to n (``clear_by_rev``). What comes
   too late changes nothing: an append upon nothing, or upon a label at or above its own, is ignored, and a fill needs
   its lease. A lease (``fence``) is gone with whatever removes it (a flush, an eviction, a restart), and one that
   change n came across refuses fills labelled below n. After that, any fill asks for its second revision later than
   change n was committed, so its label is at least n and nothing of change n is missing.
5. *After a restart nothing of before is used* (``flush_on_restart``). Every string carries the run id of the server
   that wrote it, and every script compares it with the server's own, which the server told when the connection was
   opened and which ends with it: contents from a snapshot, of another node, of a replica that was promoted, are removed
   when they are touched, and by a sweep where they are not.
6. *A database that was set back* (restored, or failed over to a replica that lacked writes) has revisions below
   labels. Recents whose label is above a revision that was asked for after they were read are removed.

**Bounded staleness** (``staleness`` above 0) leaves step 2 out for a while. Recents carry the moment, by the server's
clock (by the process's own, for what it holds itself), at which they were last *confirmed*: read, and then found to
carry the revision that the database had afterwards; they are shown for so many seconds from then. What was committed
before that moment is in them, and stays in them while messages are appended. So a read shows what the database showed
at some moment within the last ``staleness`` seconds, whichever process wrote and whatever failed; what was erased may
be shown for as long. It relies on the clock not being set back. And a process sees its own messages, edits and marks at
once (``own``), whatever Redis was told: it remembers the revisions that they gave for longer than recents may be shown
unasked, and asks the database where a label is below them, or where it had to forget some of that time.

``tests/drivers/test_redis_model.py`` explores a model of these rules, with each of them removed in turn; and
``tests/drivers/test_redis_interleavings.py`` this code, over a real server, step by step in every order it can find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import StoreClosedError
from whisper_persistence.hookspecs import Below, ConversationSpecs, LifecycleSpecs, MaintenanceSpecs, hookimpl
from whisper_persistence_drivers import forks
from whisper_persistence_drivers.redis_cache.clients import connect
from whisper_persistence_drivers.redis_cache.counters import Counters
from whisper_persistence_drivers.redis_cache.exchange import Exchange
from whisper_persistence_drivers.redis_cache.layer import Layer
from whisper_persistence_drivers.redis_cache.life import Life
from whisper_persistence_drivers.redis_cache.recents import Limits

TIER: Final = "redis-hybrid"

_positive = attrs.validators.gt(0.0)
_not_negative = attrs.validators.ge(0.0)

#: How long an erase or expiry waits for Redis to be brought up to date, in seconds.
_SETTLING: Final = 10.0
_DISK: Final = "Redis's own files, if it writes any: until their next rewrite (BGSAVE, BGREWRITEAOF)"


@attrs.define(eq=False)
class RedisHybridDriver(LifecycleSpecs, ConversationSpecs, MaintenanceSpecs):
    """Keeps the newest messages of each conversation in Redis; the drivers below keep everything.

    Options:
        url: ``redis://host:6379/0``, ``rediss://`` for TLS, ``unix:///path``,
            ``redis+sentinel://host:26379,host:26379/service/0`` or ``redis+cluster://host:6379,host:6379``. A password
            belongs into the environment (``WHISPER_PERSISTENCE_REDIS_HYBRID_PASSWORD``).
        password: the servers' password, unless the URL has one.
        ttl: a conversation that nobody reads or writes is forgotten after so many seconds.
        recent: how many messages of a conversation are kept.
        max_bytes: how many bytes of a conversation are kept.
        near_bytes: how many bytes of recents each process holds itself, as messages, beside Redis.
        max_memory: how many bytes a server may use in all before nothing more is put there; 0 for no bound.
        staleness: how many seconds recents may be shown for without asking the database; 0 asks it at every read.
        connect_timeout, read_timeout: how long Redis may take, in seconds.
        follower: the name in the database's outbox; processes that use different Redis servers need different ones.
    """

    contract_version: ClassVar[int] = 1
    skippable: ClassVar[bool] = True
    # What is held here is answered at once, so that calls do best to gather: one question for the revisions of all.
    max_readers: ClassVar[int] = 2
    max_writers: ClassVar[int] = 2

    url: str = attrs.field(default="redis://localhost:6379/0", repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    ttl: float = attrs.field(default=600.0, converter=float, validator=_positive)
    recent: int = attrs.field(default=40, converter=int, validator=attrs.validators.ge(1))
    max_bytes: int = attrs.field(default=65_536, converter=int, validator=attrs.validators.ge(1))
    near_bytes: int = attrs.field(default=16_777_216, converter=int, validator=attrs.validators.ge(0))
    max_memory: int = attrs.field(default=0, converter=int, validator=attrs.validators.ge(0))
    staleness: float = attrs.field(default=0.0, converter=float, validator=_not_negative)
    connect_timeout: float = attrs.field(default=0.05, converter=float, validator=_positive)
    read_timeout: float = attrs.field(default=0.05, converter=float, validator=_positive)
    follower: str = attrs.field(default=TIER, validator=attrs.validators.min_len(1))

    _below: Below = attrs.field(init=False, repr=False)
    _namespace: str = attrs.field(init=False, default="")
    _life: Life | None = attrs.field(init=False, default=None, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Find out which database is below, and have it keep an outbox; Redis may be away."""
        self._below, self._namespace = below, namespace
        self.begin_anew()
        forks.watch(self)
        self._open_life().begin()

    @hookimpl
    def close(self) -> None:
        """Stop the thread and close every connection."""
        forks.forget(self)
        life, self._life = self._life, None
        if life is not None:
            life.end()

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Ask every server how it is, and add the reports from below."""
        return (self._open_life().health(TIER), *(self._below.check_health() or ()))

    @hookimpl
    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt] | None:
        """Append below; Redis is told some milliseconds later, together with what others append until then."""
        layer = self._layer()
        receipts = self._below.save_messages(messages=messages)
        if receipts and layer:
            layer.appended(messages, receipts)
        return receipts

    @hookimpl
    def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]] | None:
        """Return what each window shows, from Redis where that is provably right."""
        layer = self._layer()
        return layer.load(windows) if layer else self._below.load_messages(windows=windows)

    @hookimpl
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt] | None:
        """Change below, then forget in Redis what lacks the changes."""
        layer = self._layer()
        receipts = self._below.update_messages(changes=changes)
        if receipts and layer and not layer.changed(changes, receipts):
            self._open_life().wake()
        return receipts

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...] | None:
        """Erase below, then put Redis right from the outbox, which names every conversation that lost a message."""
        reports = self._below.erase_users(user_ids=user_ids)
        return None if reports is None else (self._settled(), *reports)

    @hookimpl
    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...] | None:
        """Expire below, then put Redis right from the outbox."""
        reports = self._below.expire(policies=policies, dry_run=dry_run)
        if reports is None:
            return None
        return (rec.TierReport(TIER) if dry_run else self._settled(), *reports)

    def begin_anew(self) -> None:
        """Start anew, with connections and a thread of this process; nothing is asked yet."""
        servers = connect(self.url, self.password, self.connect_timeout, self.read_timeout)
        exchange = Exchange(servers, Counters(), self.read_timeout)
        sizes = (self.recent, self.max_bytes, self.near_bytes, self.max_memory)
        limits = Limits(*sizes, self.ttl, self.staleness)
        build = partial(Layer.over, self._below, self._namespace, exchange, limits, self.follower)
        self._life = Life(exchange, build)

    def _open_life(self) -> Life:
        if self._life is None:
            raise StoreClosedError(f"{TIER} was asked while it is not open: open a store first")
        return self._life

    def _layer(self) -> Layer | None:
        return self._open_life().at_hand()

    def _settled(self) -> rec.TierReport:
        layer = self._layer()
        repaired, told = layer.settle(_SETTLING) if layer else (0, False)
        if told:
            return rec.TierReport(TIER, {"conversations": repaired}, remaining=(_DISK,))
        away = (
            f"what Redis still has of it, for at most {self.ttl:.0f} seconds, and no reader is shown: it did not answer"
        )
        return rec.TierReport(TIER, {"conversations": repaired}, remaining=(away, _DISK))
