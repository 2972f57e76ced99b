"""What search needs: vectors beside their messages, and the words of each message."""

from __future__ import annotations

from typing import Any

from alembic import context, op
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_PLACE = ("namespace", "conversation_id", "sequence")


def upgrade() -> None:
    """Create the tables, divided as the conversation history is."""
    schema, prefix = context.config.attributes["schema"], context.config.attributes["prefix"]
    history = f"{prefix}conversation_history"
    partitions = _partitions(op.get_bind(), f'"{schema}".{history}')
    partitioned: dict[str, Any] = {"postgresql_partition_by": "HASH (namespace, conversation_id)"} if partitions else {}

    def create(name: str, *parts: Any, clustered: bool) -> None:
        parent = f"{schema}.{history}" if schema else history
        owned = ForeignKeyConstraint(_PLACE, [f"{parent}.{column}" for column in _PLACE], ondelete="CASCADE")
        options = {"schema": schema, "sqlite_with_rowid": not clustered, **partitioned}
        op.create_table(prefix + name, *parts, owned, **options)
        for number in range(partitions):
            bounds, table = f"WITH (MODULUS {partitions}, REMAINDER {number})", f'"{schema}".{prefix}{name}'
            op.execute(f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES {bounds}")

    create(
        "message_vectors",
        *_place(),
        _string("model"),
        Column("embedding", LargeBinary, nullable=False),
        PrimaryKeyConstraint(*_PLACE, "model"),
        clustered=True,
    )
    numbered = [Column("id", Integer, primary_key=True), *_place(), UniqueConstraint(*_PLACE)]
    create(
        "message_terms",
        *(numbered if schema is None else [*_place(), PrimaryKeyConstraint(*_PLACE)]),
        *(_string(name) for name in ("user_id", "author_id")),
        *(_number(name) for name in ("written_at", "place")),
        *(_string(name) for name in ("marks", "terms", "names")),
        clustered=False,
    )
    terms = f"{prefix}message_terms"
    op.create_index(f"{terms}_user", terms, ["namespace", "user_id", "conversation_id", "place"], schema=schema)
    if schema is not None:
        words = text("array_to_tsvector(string_to_array(marks || ' ' || terms, ' '))")
        op.create_index(f"{terms}_words", terms, [words], schema=schema, postgresql_using="gin")


def _partitions(connection: Connection, history: str) -> int:
    """Return into how many partitions the history is divided."""
    if connection.dialect.name != "postgresql":
        return 0
    counted = text("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST(:history AS regclass)")
    return int(connection.execute(counted, {"history": history}).scalar_one())


def _place() -> list[Column[Any]]:
    return [_number(name) if name == "sequence" else _string(name) for name in _PLACE]


def _string(name: str) -> Column[str]:
    return Column(name, _PLAIN, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)
