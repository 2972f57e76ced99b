"""Hash chains over conversations, which `verify` walks along: links, salts of what is there still, and heads."""

from __future__ import annotations

from alembic import context, op
from sqlalchemy import BigInteger, Column, Text
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
#: The columns of each table after the namespace and what the chain is about; the first of two tables is in the key.
_TABLES = {
    "message_links": ("position", "action", "sequence", "digest", "link"),
    "message_salts": ("sequence", "salt"),
    "message_heads": ("position", "link", "seal"),
}
_NUMBERS = ("position", "sequence")


def upgrade() -> None:
    """Create the three tables."""
    schema, prefix = context.config.attributes["schema"], context.config.attributes["prefix"]
    for table, names in _TABLES.items():
        numbered = table != "message_heads"
        op.create_table(
            f"{prefix}{table}",
            *(Column(name, _PLAIN, primary_key=True) for name in ("namespace", "thing")),
            *(
                Column(
                    name, BigInteger if name in _NUMBERS else _PLAIN, nullable=False, primary_key=numbered and not at
                )
                for at, name in enumerate(names)
            ),
            schema=schema,
            sqlite_with_rowid=False,
        )
