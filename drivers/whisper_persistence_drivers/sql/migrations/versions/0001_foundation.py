"""The tables of the first release."""

from __future__ import annotations

import secrets
from typing import Any

from alembic import context, op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_PLAIN = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create every table, and write down the prefix and a new key for hashes."""
    schema, prefix = context.config.attributes["schema"], context.config.attributes["prefix"]

    partitions = context.config.attributes.get("history_partitions", 0)
    partitioned: dict[str, Any] = {"postgresql_partition_by": "HASH (namespace, conversation_id)"} if partitions else {}

    def create(name: str, *parts: Any, clustered: bool = True, **options: Any) -> None:
        op.create_table(prefix + name, *parts, schema=schema, sqlite_with_rowid=not clustered, **options)

    def index(name: str, table: str, columns: list[str], **options: Any) -> None:
        op.create_index(prefix + name, prefix + table, columns, schema=schema, **options)

    def owned() -> ForeignKeyConstraint:
        parent = f"{schema}.{prefix}" if schema else prefix
        columns = [f"{parent}user_emotional_profiles.{name}" for name in ("namespace", "user_id")]
        return ForeignKeyConstraint(["namespace", "user_id"], columns, ondelete="CASCADE")

    create(
        "user_emotional_profiles",
        *_keys("user_id"),
        _number("created_at"),
        _number("interventions", server_default=text("0")),
        _number("successes", server_default=text("0")),
        _number("effectiveness_sum", server_default=text("0")),
    )
    create("user_support_strategies", *_keys("user_id"), _string("record"), owned(), clustered=False)
    create(
        "support_strategy_history",
        *_keys("user_id", "sequence"),
        _string("outcome_id"),
        _string("intervention_style"),
        _number("effectiveness"),
        _number("occurred_at"),
        _string("record"),
        owned(),
        UniqueConstraint("namespace", "user_id", "outcome_id"),
    )
    statistics = (_number("stored_scores"), _string("record"))
    create("user_memory_statistics", *_keys("user_id"), *statistics, owned(), clustered=False)
    create(
        "memory_importance_scores",
        *_keys("user_id", "memory_id"),
        _number("score"),
        _number("sequence"),
        _string("record"),
        owned(),
    )
    scores = "memory_importance_scores"
    index(f"{scores}_top", scores, ["namespace", "user_id", "score", "memory_id"])
    index(f"{scores}_recent", scores, ["namespace", "user_id", "sequence"], unique=True)
    create("memory_importance_patterns", *_keys("user_id", "pattern_id"), _string("record"), owned())
    create("user_memory_preferences", *_keys("user_id"), _string("record"), owned(), clustered=False)
    create(
        "conversation_history",
        *_keys("conversation_id", "sequence"),
        _string("message_id"),
        _string("user_id"),
        Column("other_author", _PLAIN),
        _string("record"),
        owned(),
        UniqueConstraint("namespace", "message_id", "conversation_id"),
        **partitioned,
    )
    history = "conversation_history"
    _divide(f'"{schema}".{prefix}{history}', partitions)
    index(f"{history}_user", history, ["namespace", "user_id", "conversation_id", "sequence"])
    elsewhere = text("other_author IS NOT NULL")
    condition = {"sqlite_where": elsewhere, "postgresql_where": elsewhere}
    index(f"{history}_author", history, ["namespace", "other_author"], **condition)
    standing = (_number(name) for name in ("revision", "epoch", "sequence", "cleared"))
    create("revisions", Column("thing", _PLAIN, primary_key=True), *standing)
    create("applied_changes", *_keys("change_id"), _number("applied_at"))
    index("applied_changes_age", "applied_changes", ["applied_at"])
    create("followers", *_keys("name", "kind"))
    create("outbox", *_keys("follower", "kind", "thing_id", "item"), _number("revision"))
    _install(schema, prefix)


def _divide(history: str, partitions: int) -> None:
    for number in range(partitions):
        bounds = f"WITH (MODULUS {partitions}, REMAINDER {number})"
        op.execute(f"CREATE TABLE {history}_{number} PARTITION OF {history} FOR VALUES {bounds}")


def _install(schema: str | None, prefix: str) -> None:
    installation = op.create_table(
        "whisper_persistence_installation",
        Column("id", Integer, primary_key=True, autoincrement=False),
        _string("prefix"),
        _string("hash_key"),
        schema=schema,
    )
    op.bulk_insert(installation, [{"id": 1, "prefix": prefix, "hash_key": secrets.token_hex(32)}])


def _keys(*names: str) -> tuple[Any, ...]:
    columns = [_number(name) if name == "sequence" else _string(name) for name in ("namespace", *names)]
    return (*columns, PrimaryKeyConstraint(*(column.name for column in columns)))


def _string(name: str) -> Column[str]:
    return Column(name, _PLAIN, nullable=False)


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **options)
