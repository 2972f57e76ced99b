"""Opening an installation: one SELECT when it is up to date, Alembic under a lock when it is not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from whisper_persistence import records as rec
from whisper_persistence.errors import IncompatibleSchemaError, StorageDamagedError, StorageRefusedError
from whisper_persistence_drivers.sql.database import Database
from whisper_persistence_drivers.sql.tables import INSTALLATION_TABLE, VERSION_TABLE, tables

#: The version of the schema that this release works with: the newest migration.
SCHEMA_VERSION: Final = "0007"
#: What our tables' names begin with where tables of the same names are there already, in another's shape.
PREFIX: Final = "whisper_persistence_"

_log = logging.getLogger(__name__)


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text)


@attrs.frozen
class Installation:
    """What is written down of an installation.

    Attributes:
        version: the version of its schema.
        prefix: what its tables' names begin with.
        hash_key: its key for hashes of ids.
    """

    version: str
    prefix: str
    hash_key: bytes = attrs.field(converter=_from_hex, repr=False)


def open_installation(database: Database) -> Installation:
    """Return the installation, installed or upgraded if need be.

    Raises:
        IncompatibleSchemaError: its schema is newer than this release, or older and the upgrade is refused.
    """
    found = find_installation(database)
    if found is None:
        found = _migrate(database)
    elif found.version < SCHEMA_VERSION:
        found = _bring_up(database, found.version)
    if found.version > SCHEMA_VERSION:
        raise IncompatibleSchemaError(
            f"the database has schema version {found.version} and this release knows versions up to {SCHEMA_VERSION}: "
            "install a newer release of whisper-persistence"
        )
    return found


def find_installation(database: Database) -> Installation | None:
    """Return the installation as it is, or ``None`` where there is none."""
    with database.reading() as connection:
        return _read(connection, database.flavour.schema, database.errors)


def describe_schema(tier: str, version: str | None) -> rec.SchemaReport:
    """Return which schema a storage has, and what opening it would do."""
    from alembic.script import ScriptDirectory

    newest_first = ScriptDirectory(_migrations()).walk_revisions()
    missing = [script for script in newest_first if version is None or script.revision > version]
    steps = tuple(f"{script.revision}: {script.doc}" for script in reversed(missing))
    return rec.SchemaReport(tier, version, SCHEMA_VERSION, steps)


def _migrations() -> str:
    return str(Path(__file__).with_name("migrations"))


def _select(schema: str | None) -> str:
    where = f'"{schema}".' if schema else ""
    return f"SELECT version_num, prefix, hash_key FROM {where}{VERSION_TABLE}, {where}{INSTALLATION_TABLE}"  # noqa: S608


def _read(connection: Any, schema: str | None, errors: Any) -> Installation | None:
    """Return the installation, or ``None`` where there is none or its tables cannot be read yet."""
    try:
        rows = connection.execute(_select(schema)).fetchall()
    except errors:
        return None
    return Installation(*rows[0]) if rows else None


def _bring_up(database: Database, version: str) -> Installation:
    """Upgrade; where the database refuses that for good, an operator has to, and what is there stays as it is."""
    try:
        return _migrate(database)
    except database.errors as error:
        ours = database.translate(error)
        if not isinstance(ours, StorageRefusedError):
            raise ours from None
        raise IncompatibleSchemaError(
            f"the database has schema version {version} and refuses the upgrade to {SCHEMA_VERSION} ({ours}): upgrade "
            "it by a user who may, or install the release before"
        ) from None


def _migrate(database: Database) -> Installation:
    engine = database.engine()
    try:
        with engine.begin() as connection:
            return _upgrade(connection, database)
    except DBAPIError as error:
        raise (error.orig or error) from None
    finally:
        engine.dispose()


def _upgrade(connection: Connection, database: Database) -> Installation:
    """Upgrade inside the connection's transaction, which holds the lock; another process may have done it before."""
    schema = database.flavour.schema
    found = _look(connection, schema)
    if found is None or found.version < SCHEMA_VERSION:
        database.before_migration(found.version if found else None)
        prefix = found.prefix if found else _free_prefix(connection, schema)
        run_migrations(connection, schema, prefix, database.history_partitions)
        _log.info("database schema upgraded", extra={"schema_version": SCHEMA_VERSION})
        found = _look(connection, schema)
    return found or _missing(schema)


def _missing(schema: str | None) -> NoReturn:
    raise StorageDamagedError(
        f"the installation's tables are not there after the upgrade (schema {schema or 'default'})"
    )


def _look(connection: Connection, schema: str | None) -> Installation | None:
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    row = connection.execute(text(_select(schema))).first()
    return Installation(*row) if row else None


def _free_prefix(connection: Connection, schema: str | None) -> str:
    inspector = inspect(connection)
    taken = (*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema))
    ours = {table.name for table in tables(schema).metadata.tables.values()}
    return PREFIX if any(name.lower() in ours for name in taken) else ""


def run_migrations(connection: Connection, schema: str | None, prefix: str, history_partitions: int = 0) -> None:
    """Run Alembic's scripts inside the connection's transaction.

    Args:
        connection: where to run them.
        schema: the schema the tables live in, or ``None`` for the database's own.
        prefix: what the tables' names begin with.
        history_partitions: into how many hash partitions a new conversation history is divided; 0 for none.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _migrations())
    given = {"connection": connection, "schema": schema, "prefix": prefix, "history_partitions": history_partitions}
    config.attributes.update(given)
    command.upgrade(config, "head")
