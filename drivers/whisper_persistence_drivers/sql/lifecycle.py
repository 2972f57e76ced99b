"""Opening, closing and health of the SQL drivers, and how a hook's work runs in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import PersistenceError
from whisper_persistence.hookspecs import Below, LifecycleSpecs, hookimpl
from whisper_persistence.origins import current_origin
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql.database import Database
from whisper_persistence_drivers.sql.retrying import retry
from whisper_persistence_drivers.sql.schema import SCHEMA_VERSION, describe_schema, find_installation, open_installation
from whisper_persistence_drivers.sql.session import Session
from whisper_persistence_drivers.sql.transaction import Transaction

T = TypeVar("T")

#: After this many users the memory of who is known starts anew.
_REMEMBERED_USERS = 100_000
#: With less room on its disk a file is not well, in bytes.
_ROOM: Final = 10_000_000
_long = attrs.validators.optional(attrs.validators.min_len(16))
#: The value of ``tamper_evidence`` with which chains that are there are kept, and none are begun.
KEPT: Final = "kept"


def _to_switch(value: Any) -> bool | Literal["kept"]:
    return KEPT if value == KEPT else attrs.converters.to_bool(value)


@attrs.define(eq=False)
class SqlLifecycle(LifecycleSpecs):
    """A driver on a SQL database without the hooks of any subject; a subclass says which database.

    Options:
        tamper_evidence: whether each conversation has a hash chain, which `verify_conversations` walks along; ``kept``
            goes on with chains that are there and begins none.
        tamper_key: the key of the hashes, of 16 characters or more; without it they show accidents, not malice.
    """

    contract_version: ClassVar[int] = 1
    tier: ClassVar[str]

    tamper_evidence: bool | Literal["kept"] = attrs.field(default=False, kw_only=True, converter=_to_switch)
    tamper_key: str | None = attrs.field(default=None, kw_only=True, repr=False, validator=_long)
    _below: Below = attrs.field(init=False, repr=False)
    _namespace: str = attrs.field(init=False, default="")
    _database: Database = attrs.field(init=False, repr=False)
    _known_users: set[str] = attrs.field(init=False, factory=set[str], repr=False)
    _make_links: Callable[[], Any] | None = attrs.field(init=False, default=None, repr=False)

    def connect(self) -> Database:
        """Return the database that the options name, not yet asked anything."""
        raise TypeError(f"{type(self).__name__} names no database")

    @hookimpl
    def inspect_schema(self) -> rec.SchemaReport:
        """Read the version of the installation, and close the connection again."""
        self._database = self.connect()
        try:
            found = self._translated(find_installation, self._database)
        finally:
            self._database.close()
        return describe_schema(self.tier, found.version if found else None)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Connect, and install or upgrade the schema if need be."""
        self._below, self._namespace = below, namespace
        self._known_users = set()
        self._database = self.connect()
        found = self._translated(open_installation, self._database)
        self._database.flavour = attrs.evolve(self._database.flavour, prefix=found.prefix)
        self._database.hash_key = found.hash_key
        self._translated(self._database.ready)
        self.start_chains()

    def start_chains(self) -> None:
        """Begin to keep hash chains over conversations, where a driver has them."""

    @hookimpl
    def close(self) -> None:
        """Give every connection back, if there are any."""
        if hasattr(self, "_database"):
            self._database.close()

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Ask the database for its version, and add the reports from below."""
        return (self._health(), *(self._below.check_health() or ()))

    def describe_search(self) -> dict[str, Any]:
        """Return what is worth knowing of the search, where there is one."""
        return {}

    def _health(self) -> rec.TierHealth:
        began = time.perf_counter()
        try:
            details = {**self._translated(self._database.describe), **self.describe_search()}
            details["conflicts"] = self._read(on_use.replaying.count_conflicts)
        except PersistenceError as error:
            return rec.TierHealth(self.tier, rec.State.DOWN, None, {"error": str(error)})
        details["schema_version"] = SCHEMA_VERSION
        details["installation"] = blake2b(b"installation", key=self._database.hash_key, digest_size=8).hexdigest()
        damaged = details["damaged"] = len(self._database.damage)
        if details.get("free_bytes", _ROOM) < _ROOM:
            details["error"] = f"less than {_ROOM // 1_000_000} MB are free on its disk: make room"
        state = rec.State.DEGRADED if damaged or "error" in details else rec.State.UP
        return rec.TierHealth(self.tier, state, time.perf_counter() - began, details)

    def _read(self, function: Callable[..., T], *arguments: Any) -> T:
        return retry(lambda careful: self._run_once(function, *arguments), self.tier)

    def _run_once(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function on a connection in no transaction: what reads, or writes by a single statement."""
        database = self._database
        try:
            with database.reading() as connection:
                place = (database.flavour, self._namespace, database.hash_key, database.damage)
                return function(Session(connection, *place), *arguments)
        except database.errors as error:
            raise database.translate(error) from None

    def _write(self, function: Callable[..., T], *arguments: Any) -> T:
        origin = current_origin()
        if origin is not None and function in on_use.replaying.HEEDED:
            function = cast("Callable[..., T]", partial(on_use.replaying.heed, origin, function))
        return retry(lambda careful: self._attempt(function, arguments, careful=careful), self.tier)

    def _attempt(self, function: Callable[..., T], arguments: tuple[Any, ...], *, careful: bool) -> T:
        database = self._database
        if len(self._known_users) > _REMEMBERED_USERS:
            self._known_users = set()
        known = self._known_users
        try:
            with database.writing() as connection:
                links = self._make_links() if self._make_links else None
                place = (database.flavour, self._namespace, database.hash_key, database.damage)
                transaction = Transaction(connection, *place, known, careful, links)
                answer = function(transaction, *arguments)
                transaction.finish()
        except database.errors as error:
            raise database.translate(error) from None
        transaction.committed()
        return answer

    def _translated(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return function(*arguments)
        except self._database.errors as error:
            raise self._database.translate(error) from None
