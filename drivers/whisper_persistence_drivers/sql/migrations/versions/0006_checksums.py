"""A checksum beside every record, so that flipped bytes which leave it legible are found."""

from __future__ import annotations

from zlib import crc32

from alembic import context, op
from sqlalchemy import BigInteger, Column, Connection

revision = "0006"
down_revision = "0005"

#: Every table of records that are returned, and what is added to CRC-32: the sequence, where one stands in a column.
_TABLES = {
    "user_support_strategies": "0",
    "support_strategy_history": "sequence",
    "user_memory_statistics": "0",
    "memory_importance_scores": "sequence",
    "memory_importance_patterns": "0",
    "user_memory_preferences": "0",
    "conversation_history": "sequence",
}
#: PostgreSQL's first version that knows CRC-32; before it, rows that are there stay without a checksum.
_KNOWN_SINCE = (18,)


def upgrade() -> None:
    """Add the columns, and work out what stands in them for what is there."""
    schema, prefix = context.config.attributes["schema"], context.config.attributes["prefix"]
    connection = op.get_bind()
    computed = _computed(connection)
    for name, added in _TABLES.items():
        op.add_column(prefix + name, Column("checksum", BigInteger), schema=schema)
        if computed:
            table = f'"{schema}".{prefix}{name}' if schema else prefix + name
            op.execute(f"UPDATE {table} SET checksum = {computed} + {added}")  # noqa: S608


def _computed(connection: Connection) -> str:
    """Return the expression for a record's CRC-32, or nothing where the database has none."""
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        driver.create_function("record_crc32", 1, crc32, deterministic=True)  # type: ignore[union-attr]
        return "record_crc32(CAST(record AS BLOB))"
    version = connection.dialect.server_version_info or ()
    return "crc32(convert_to(record, 'UTF8'))" if version >= _KNOWN_SINCE else ""
