"""What a replayed write is judged by: when users were erased, and what is kept beside a record that was newer."""

from __future__ import annotations

from alembic import context, op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint, Text
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the two tables."""
    schema, prefix = context.config.attributes["schema"], context.config.attributes["prefix"]
    parent = f"{schema}.{prefix}" if schema else prefix
    numbers = (Column(name, BigInteger, nullable=False) for name in ("writers_number", "erased_at"))
    op.create_table(
        f"{prefix}tombstones",
        Column("thing", _PLAIN, primary_key=True),
        Column("number", BigInteger, nullable=False),
        Column("writer", _PLAIN, nullable=False),
        *numbers,
        schema=schema,
        sqlite_with_rowid=False,
    )
    keys = ("namespace", "user_id", "kind", "item", "change_id")
    op.create_table(
        f"{prefix}conflicts",
        *(Column(name, _PLAIN, nullable=False) for name in keys),
        Column("noted_at", BigInteger, nullable=False),
        Column("record", _PLAIN, nullable=False),
        PrimaryKeyConstraint(*keys),
        ForeignKeyConstraint(
            ["namespace", "user_id"],
            [f"{parent}user_emotional_profiles.{name}" for name in ("namespace", "user_id")],
            ondelete="CASCADE",
        ),
        schema=schema,
    )
