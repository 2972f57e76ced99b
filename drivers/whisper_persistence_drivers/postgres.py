"""The server's database of record: PostgreSQL, through psycopg 3."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import attrs

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.origins import current_origin
from whisper_persistence.records import Message, Pattern, Preferences, Receipt, Statistics, Strategy
from whisper_persistence_drivers.postgres_append import append_messages
from whisper_persistence_drivers.postgres_connection import GRACE
from whisper_persistence_drivers.postgres_database import PostgresDatabase
from whisper_persistence_drivers.postgres_policies import NAMESPACE_SETTING
from whisper_persistence_drivers.postgres_saving import save_records
from whisper_persistence_drivers.postgres_text_index import PostgresTextIndex
from whisper_persistence_drivers.sql.database import ConstraintError, TransactionLostError
from whisper_persistence_drivers.sql.driver import SqlDriver
from whisper_persistence_drivers.sql.messages import other_author

#: Every statement of ours looks up keys, so its plan depends on no value: planned once, it is never planned again.
#: A process that is stopped in the middle of a transaction, or cut off, gives its locks up after a minute.
_SETTINGS = (
    "-c timezone=UTC -c jit=off -c plan_cache_mode=force_generic_plan -c idle_in_transaction_session_timeout=60s "
    "-c default_transaction_isolation=read\\ committed"
)

_positive = attrs.validators.gt(0.0)


@attrs.define(eq=False)
class PostgresDriver(SqlDriver):
    """A complete store in a schema of its own, for any number of processes and machines.

    Options:
        url: ``postgresql://user@host:port/database``, instead of host, port, user and database; what it says of the
            connection after a ``?`` holds. A password belongs into the environment
            (``WHISPER_PERSISTENCE_POSTGRES_PASSWORD``) or a password file.
        host, port, user, password, database: where the server is, and who we are there.
        schema: the schema that our tables live in; made if it is missing.
        pool_size: how many connections at most; by default as many as `AsyncStore` has threads.
        max_lifetime: a connection is renewed after so many seconds.
        connect_timeout, statement_timeout, lock_timeout: in seconds.
        pool_timeout: how long to wait for a free connection, in seconds.
        prepare: whether statements are prepared on the server; off for poolers in transaction mode.
        history_partitions: a new installation divides the history into so many hash partitions; 0 for none.
        row_level_security: whether the database itself keeps namespaces apart, by a policy on every table.
        rewrite_on_erase: whether an erase ends with writing the tables anew, which locks each for a while.
        sslmode, sslrootcert, sslcert, sslkey: TLS, as libpq takes them.
        search: ``true`` has messages indexed by their words, and found; ``false`` has this driver find none; where it
            is not set, the newest messages of a user or conversation are looked at one by one, without an index.
        weights: how the scores of a search are put together, as `whisper_persistence.fusing.Weights` names them.
        tamper_evidence: whether each conversation has a hash chain, for `whisper-persistence verify`.
        tamper_key: the key of those hashes, of 16 characters or more; it belongs into the environment.
    """

    tier: ClassVar[str] = "postgres"

    url: str | None = attrs.field(default=None, repr=False)
    host: str = "localhost"
    port: int = attrs.field(default=5432, converter=int)
    user: str = "bot_user"
    password: str | None = attrs.field(default=None, repr=False)
    database: str = "whisper_engine"
    schema: str = attrs.field(
        default="whisper_persistence", validator=attrs.validators.matches_re(r"[a-z_][a-z0-9_]{0,62}")
    )
    pool_size: int = attrs.field(default=12, converter=int, validator=attrs.validators.ge(1))
    max_lifetime: float = attrs.field(default=1800.0, converter=float, validator=_positive)
    connect_timeout: float = attrs.field(default=5.0, converter=float, validator=_positive)
    statement_timeout: float = attrs.field(default=10.0, converter=float, validator=_positive)
    lock_timeout: float = attrs.field(default=5.0, converter=float, validator=_positive)
    pool_timeout: float = attrs.field(default=5.0, converter=float, validator=_positive)
    prepare: bool = True
    history_partitions: int = attrs.field(default=0, converter=int, validator=attrs.validators.ge(0))
    row_level_security: bool = False
    rewrite_on_erase: bool = False
    sslmode: str | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = attrs.field(default=None, repr=False)

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append in one statement, one round trip; where a constraint objects, step by step and carefully."""
        receipts = self._append_at_once(messages)
        if receipts is None:
            return super().save_messages(messages)
        self._written()
        return receipts

    def _append_at_once(self, messages: Sequence[Message]) -> list[Receipt] | None:
        """Append in one statement, unless there are hash chains or it may come after an erase that it must heed."""
        if self._make_links is not None:
            return None
        origin = current_origin()
        if origin is None:
            return self._at_once(append_messages, messages)
        # Of people who only wrote them no row is known here that could be held while an erase is under way.
        if origin.replayed or origin.erasures is None or any(map(other_author, messages)):
            return None
        return self._at_once(append_messages, messages, origin.erasures)

    @hookimpl
    def save_strategies(self, strategies: Sequence[Strategy]) -> Sequence[Receipt]:
        """Put whole strategies, in one statement where that does."""
        return self._save_at_once(strategies) or super().save_strategies(strategies)

    @hookimpl
    def save_statistics(self, statistics: Sequence[Statistics]) -> Sequence[Receipt]:
        """Put whole statistics, in one statement where that does."""
        return self._save_at_once(statistics) or super().save_statistics(statistics)

    @hookimpl
    def save_patterns(self, patterns: Sequence[Pattern]) -> Sequence[Receipt]:
        """Put whole patterns, in one statement where that does."""
        return self._save_at_once(patterns) or super().save_patterns(patterns)

    @hookimpl
    def save_preferences(self, preferences: Sequence[Preferences]) -> Sequence[Receipt]:
        """Put whole preferences, in one statement where that does."""
        return self._save_at_once(preferences) or super().save_preferences(preferences)

    def _save_at_once(self, records: Sequence[Any]) -> list[Receipt] | None:
        """Put whole records in one statement, unless the rules for where they come from have to be heeded."""
        return self._at_once(save_records, records) if current_origin() is None else None

    def _at_once(
        self, function: Callable[..., list[Receipt] | None], items: Sequence[Any], *arguments: Any
    ) -> list[Receipt] | None:
        """Write a batch in one statement; ``None`` where it has to go step by step and carefully.

        It has to for users that are not known, where a constraint objects, and after an erase that was not followed.
        """
        if not {item.user_id for item in items} <= self._known_users:
            return None
        try:
            return self._run_once(function, items, *arguments)
        except (ConstraintError, TransactionLostError):
            return None

    def text_index(self) -> PostgresTextIndex:
        """Return how words are found here: by tsvector."""
        return PostgresTextIndex()

    def connect(self) -> PostgresDatabase:
        """Return the database that the options name."""
        return PostgresDatabase(
            schema=self.schema,
            arguments=self._arguments(),
            prepares=self.prepare,
            pool_size=self.pool_size,
            pool_timeout=self.pool_timeout,
            patience=self.statement_timeout + GRACE,
            max_lifetime=self.max_lifetime,
            history_partitions=self.history_partitions,
            row_level_security=self.row_level_security,
            rewrite_on_erase=self.rewrite_on_erase,
        )

    def _arguments(self) -> dict[str, Any]:
        """Return what psycopg connects with."""
        address = self._address()
        seconds = {"statement_timeout": self.statement_timeout, "lock_timeout": self.lock_timeout}
        settings = [f"-c {name}={max(1, round(limit * 1000))}" for name, limit in seconds.items()]
        settings.append(f"-c {NAMESPACE_SETTING}={_escaped(self._namespace)}")
        tls = {name: getattr(self, name) for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")}
        return {
            "connect_timeout": max(2, round(self.connect_timeout)),
            "application_name": "whisper-persistence",
            "tcp_user_timeout": max(1, round(self.statement_timeout * 1000)),
            **address,
            **{name: value for name, value in tls.items() if value is not None},
            "options": " ".join([address.get("options", ""), *settings, _SETTINGS]),
            "prepare_threshold": None,
            "client_encoding": "UTF8",
        }

    def _address(self) -> dict[str, Any]:
        found: dict[str, Any] = {"host": self.host, "port": self.port, "user": self.user, "dbname": self.database}
        if self.url is not None:
            found = _parts(self.url)
        if self.password is not None and not found.get("password"):
            found["password"] = self.password
        return found


def _parts(url: str) -> dict[str, Any]:
    """Return what a URL says, as psycopg names it."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    with suppress(ProgrammingError):
        return {**conninfo_to_dict(url.replace("postgresql+psycopg:", "postgresql:", 1))}
    # Outside of psycopg's error, which repeats the URL with the password in it.
    raise ConfigurationError("driver 'postgres': its url cannot be read: write postgresql://user@host:port/database")


def _escaped(value: str) -> str:
    """Return a value as libpq's ``options`` take it, in which blanks and backslashes are escaped."""
    return re.sub(r"([\\\s])", r"\\\1", value)
