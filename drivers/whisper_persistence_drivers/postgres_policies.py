"""Row-level security: the database itself shows a connection the rows of its own namespace and no others.

A connection carries its namespace in a setting from connect on, and a connection serves one namespace as long as it
lives; so there is no moment in which a pool could hand on somebody else's. The policies are forced, and hold for the
tables' owner too; they never hold for a superuser or a role with BYPASSRLS, which are refused.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from whisper_persistence.errors import ConfigurationError
from whisper_persistence_drivers.sql.tables import Tables

#: The setting that holds a connection's namespace.
NAMESPACE_SETTING: Final = "whisper_persistence.namespace"
_POLICY: Final = "whisper_persistence_namespace"


def check_role(connection: Any) -> None:
    """Refuse a role that policies do not hold for.

    Raises:
        ConfigurationError: says so, and what to do.
    """
    above = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    if connection.execute(above).fetchall()[0][0]:
        raise ConfigurationError(
            "driver 'postgres': row_level_security does not hold for a superuser or a role with BYPASSRLS: "
            "connect as a role that is neither"
        )


def has_policies(connection: Any, tables: Tables) -> bool:
    """Say whether every table that has a namespace is kept apart."""
    forced = (
        "SELECT count(*) FROM pg_class "
        "WHERE relrowsecurity AND relforcerowsecurity AND oid = ANY(%s::regclass[]::oid[])"
    )
    wanted = _kept_apart(connection, tables)
    found: int = connection.execute(forced, (wanted,)).fetchall()[0][0]
    return found == len(wanted)


def enforce_policies(engine: Engine, tables: Tables) -> None:
    """Give every table that has a namespace a policy that holds for everybody, in one transaction.

    Raises:
        ConfigurationError: the role does not own the tables.
    """
    try:
        with engine.begin() as connection:
            for name in _kept_apart(connection.connection.driver_connection, tables):
                for statement in _statements(name):
                    connection.execute(text(statement))
    except ProgrammingError:
        raise ConfigurationError(
            "driver 'postgres': row_level_security is asked for, and this role may not make the policies: "
            "open the store once as the owner of its tables, with row_level_security on"
        ) from None
    finally:
        engine.dispose()


def _statements(name: str) -> list[str]:
    own = f"namespace = current_setting('{NAMESPACE_SETTING}', true)"
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {_POLICY} ON {name}",
        f"CREATE POLICY {_POLICY} ON {name} USING ({own}) WITH CHECK ({own})",
    ]


def _kept_apart(connection: Any, tables: Tables) -> list[str]:
    """Return every table that has a namespace, and their partitions: a table's policies do not hold for those."""
    ours = [f'"{table.schema}"."{table.name}"' for table in tables.metadata.sorted_tables if "namespace" in table.c]
    partitions = (
        "SELECT format('%%I.%%I', nspname, relname) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE inhparent = ANY(%s::regclass[]::oid[]) ORDER BY relname"
    )
    return [*ours, *(name for (name,) in connection.execute(partitions, (ours,)).fetchall())]
