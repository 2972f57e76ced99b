"""How Alembic runs our migrations: on the connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context
from whisper_persistence_drivers.sql.tables import VERSION_TABLE

given = context.config.attributes
context.configure(
    connection=given["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=given["schema"],
    transactional_ddl=True,
)
context.run_migrations()
