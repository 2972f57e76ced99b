"""What search needs: vectors beside their messages."""

from __future__ import annotations

from typing import Any

from alembic import context, op
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables, divided as the conversation history is."""
    schema, prefix = context.config.attributes["schema"], context.config.attributes["prefix"]
    history = f"{prefix}conversation_history"
    parent = f"{schema}.{history}" if schema else history
    partitions = _partitions(op.get_bind(), f'"{schema}".{history}')
    partitioned: dict[str, Any] = {"postgresql_partition_by": "HASH (namespace, conversation_id)"} if partitions else {}
    place = ["namespace", "conversation_id", "sequence"]
    op.create_table(
        f"{prefix}message_vectors",
        *(Column(name, BigInteger() if name == "sequence" else _PLAIN, nullable=False) for name in place),
        Column("model", _PLAIN, nullable=False),
        Column("embedding", LargeBinary, nullable=False),
        PrimaryKeyConstraint(*place, "model"),
        ForeignKeyConstraint(place, [f"{parent}.{name}" for name in place], ondelete="CASCADE"),
        schema=schema,
        sqlite_with_rowid=False,
        **partitioned,
    )
    vectors = f'"{schema}".{prefix}message_vectors'
    for number in range(partitions):
        bounds = f"WITH (MODULUS {partitions}, REMAINDER {number})"
        op.execute(f"CREATE TABLE {vectors}_{number} PARTITION OF {vectors} FOR VALUES {bounds}")


def _partitions(connection: Connection, history: str) -> int:
    """Return into how many partitions the history is divided."""
    if connection.dialect.name != "postgresql":
        return 0
    counted = text("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST(:history AS regclass)")
    return int(connection.execute(counted, {"history": history}).scalar_one())
