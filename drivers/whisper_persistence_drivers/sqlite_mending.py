"""What a restored SQLite file must be told of the time since its backup was made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from whisper_persistence.records import Tombstone
from whisper_persistence_drivers.sql.chain_mark import check_mark
from whisper_persistence_drivers.sql.chaining import Links, Sealer
from whisper_persistence_drivers.sql.erasing import erase_again
from whisper_persistence_drivers.sql.schema import open_installation
from whisper_persistence_drivers.sql.tables import INSTALLATION_TABLE
from whisper_persistence_drivers.sql.transaction import Transaction
from whisper_persistence_drivers.sqlite_contents import MARKER
from whisper_persistence_drivers.sqlite_database import SqliteDatabase
from whisper_persistence_drivers.sqlite_scrubbing import copies
from whisper_persistence_drivers.sqlite_tombstones import read_tombstones

#: By how much revisions and sequences grow, so that none of those given out since the backup is given out again.
_LEAP: Final = 1 << 32


def mend(original: SqliteDatabase, restored: Path, tier: str, sealer: Sealer | None) -> int:
    """Bring a restored file up to the present schema and time; return how many users were erased again.

    Args:
        original: the database in whose place the file is to be; what it remembers of erases holds here, too.
        restored: the file, which nobody else has open.
        tier: the driver's name.
        sealer: how hash chains are made, where the settings have them.

    Raises:
        ConfigurationError: conversations in it have hash chains, and the settings have none or another key.
    """
    database = attrs.evolve(original, path=restored)
    with closing(sqlite3.connect(restored, isolation_level=None)) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {MARKER}")
    try:
        installation = open_installation(database)
        database.flavour = attrs.evolve(database.flavour, prefix=installation.prefix)
        database.hash_key = installation.hash_key
        buried, begun = _erases(original.path, installation.hash_key.hex())
        tombstones = [*read_tombstones(original.path), *buried]
        with database.writing() as connection:
            erased = _bury_again(database, connection, tombstones, sealer, tier)
            _leap(connection, installation.prefix, tombstones)
            _note(connection, installation.prefix, begun)
        database.scrub()
    finally:
        database.close()
        for copy in copies(restored):
            copy.unlink()
    return erased


def _bury_again(
    database: SqliteDatabase, connection: Any, tombstones: Sequence[Tombstone], sealer: Sealer | None, tier: str
) -> int:
    profiles = database.flavour.tables.profiles.name
    erased = 0
    for (namespace,) in connection.execute(f"SELECT DISTINCT namespace FROM {profiles}").fetchall():  # noqa: S608
        transaction = Transaction(connection, database.flavour, namespace, database.hash_key, database.damage, set())
        if check_mark(transaction, sealer, tier) and sealer is not None:
            transaction.links = Links(sealer)
        erased += len(erase_again(transaction, tombstones).tombstones)
        transaction.finish()
    return erased


def _leap(connection: Any, prefix: str, tombstones: Iterable[Tombstone]) -> None:
    """Let all counters grow, and every follower begin anew: what they hold may be of a time that never was."""
    revisions = f"{prefix}revisions"
    connection.executemany(
        f"INSERT INTO {revisions} VALUES (?, 0, ?, 0, 0) "  # noqa: S608
        "ON CONFLICT (thing) DO UPDATE SET epoch = max(epoch, excluded.epoch)",
        [(tombstone.thing, tombstone.epoch) for tombstone in tombstones],
    )
    connection.execute(f"UPDATE {revisions} SET revision = revision + {_LEAP}, sequence = sequence + {_LEAP}")  # noqa: S608
    for table in ("outbox", "followers", "erasures"):
        condition = " WHERE revision > 0" if table == "erasures" else ""
        connection.execute(f"DELETE FROM {prefix}{table}{condition}")  # noqa: S608


def _note(connection: Any, prefix: str, begun: Iterable[tuple[Any, ...]]) -> None:
    """Note erases that were begun, for the next opening to finish."""
    connection.executemany(
        f"INSERT INTO {prefix}erasures (namespace, subject, noted_at, revision) VALUES (?, ?, ?, 0) "  # noqa: S608
        "ON CONFLICT DO NOTHING",
        begun,
    )


def _erases(path: Path, hash_key: str) -> tuple[list[Tombstone], list[tuple[Any, ...]]]:
    """Return the erases that the present file remembers, and those begun in it, as far as it can be read.

    There are none of another installation.
    """
    buried, begun = list[Tombstone](), list[tuple[Any, ...]]()
    if not path.exists():
        return buried, begun
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        prefix, key = connection.execute(f"SELECT prefix, hash_key FROM {INSTALLATION_TABLE}").fetchone()  # noqa: S608
        if key == hash_key:
            rows = connection.execute(f"SELECT thing, epoch FROM {prefix}revisions WHERE epoch > 0")  # noqa: S608
            buried += [Tombstone(*row) for row in rows]
            noted = f"SELECT namespace, subject, noted_at FROM {prefix}erasures WHERE revision = 0"  # noqa: S608
            begun += connection.execute(noted).fetchall()
    return buried, begun
