"""Erases under way, so that one that is interrupted is finished, and that none is forgotten by a follower."""

from __future__ import annotations

from alembic import context, op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table of erases."""
    op.create_table(
        context.config.attributes["prefix"] + "erasures",
        Column("namespace", _PLAIN, nullable=False),
        Column("subject", _PLAIN, nullable=False),
        Column("noted_at", BigInteger, nullable=False),
        Column("revision", BigInteger, nullable=False),
        PrimaryKeyConstraint("namespace", "subject"),
        schema=context.config.attributes["schema"],
        sqlite_with_rowid=False,
    )
