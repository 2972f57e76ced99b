"""Opening the key store that the options name."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.paths import absolute_path
from whisper_persistence_encryption.erasure_lock import AdvisoryLock, FileLock
from whisper_persistence_encryption.key_store import KeyStore

#: Connections that may be in use at once; as many as `AsyncStore` has workers.
_CONNECTIONS = 32


def open_key_store(place: str, timeout: float) -> KeyStore:
    """Return the key store in a SQLite file, or in the PostgreSQL database of a URL.

    Raises:
        ConfigurationError: it cannot be used.
        StorageUnavailableError: it did not answer.
    """
    store = _on_server(place, timeout) if "://" in place else _in_file(absolute_path(place), timeout)
    event.listen(store.engine, "connect", _note_process)
    event.listen(store.engine, "checkout", _leave_to_the_parent)
    try:
        store.prepare()
    except BaseException:
        store.close()
        raise
    return store


def _in_file(path: Path, timeout: float) -> KeyStore:
    lock = path.with_name(f"{path.name}-lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in (path, lock):
            with suppress(FileExistsError):  # one that is there is never opened: closing it would drop SQLite's locks
                file.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise ConfigurationError(
            f"driver 'encryption' cannot write {path} ({error.strerror}): name a key store that can be written"
        ) from None
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(
        url, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=timeout, hide_parameters=True,
        connect_args={"timeout": timeout},
    )  # fmt: skip
    event.listen(engine, "connect", _configure)
    return KeyStore(engine, FileLock(lock, timeout), str(path))


def _configure(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}").fetchall()
    cursor.close()


def _note_process(_: Any, record: ConnectionPoolEntry) -> None:
    record.info["process"] = os.getpid()


def _leave_to_the_parent(_: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
    """Refuse a connection that was made before a fork, so that the pool makes another."""
    if record.info["process"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None  # type: ignore[misc]
        raise DisconnectionError


def _on_server(place: str, timeout: float) -> KeyStore:
    return KeyStore(engine := _server_engine(place, timeout), AdvisoryLock(engine), "PostgreSQL")


def _server_engine(place: str, timeout: float) -> Engine:
    seconds = max(1, round(timeout))
    limits = f"-c lock_timeout={seconds}s -c statement_timeout={2 * seconds}s"
    try:
        url = make_url(place)
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise ConfigurationError("driver 'encryption': key_store must be a path or a URL that begins postgresql://")
        return create_engine(
            url.set(drivername="postgresql+psycopg"), pool_size=_CONNECTIONS, max_overflow=_CONNECTIONS,
            pool_timeout=timeout, pool_pre_ping=True, hide_parameters=True,
            connect_args={"connect_timeout": seconds, "options": limits},
        )  # fmt: skip
    except (SQLAlchemyError, ValueError) as error:  # a port that is no number is a ValueError, which quotes it
        raise ConfigurationError(
            f"driver 'encryption': key_store is no URL of a database ({type(error).__name__}): correct it"
        ) from None
    except ImportError:
        raise ConfigurationError(
            "driver 'encryption': a key store in PostgreSQL needs psycopg: "
            "install whisper-persistence-encryption[postgres]"
        ) from None
