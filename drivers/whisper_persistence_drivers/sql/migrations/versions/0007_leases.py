"""Leases of followers, so that of several processes one alone works off what a follower has not seen."""

from __future__ import annotations

from alembic import context, op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table of leases."""
    op.create_table(
        context.config.attributes["prefix"] + "follower_leases",
        Column("namespace", _PLAIN, nullable=False),
        Column("follower", _PLAIN, nullable=False),
        Column("holder", _PLAIN, nullable=False),
        Column("fence", BigInteger, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("note", _PLAIN, nullable=False),
        PrimaryKeyConstraint("namespace", "follower"),
        schema=context.config.attributes["schema"],
        sqlite_with_rowid=False,
    )
