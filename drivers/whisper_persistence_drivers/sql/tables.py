"""The tables, as SQLAlchemy Core sees them; the migrations create the same ones.

Every key leads with the namespace. What belongs to a user hangs on the user's row in ``user_emotional_profiles`` and
goes with it; what must survive an erase (revisions, applied changes) does not, and names the user or conversation by a
keyed hash alone. A record is JSON in one column, so that what a release does not know survives it and a page of
records is read in one step; beside it stand the columns that queries need. Times are whole microseconds since 1970 in
UTC, scores whole units of 1e-9.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects import postgresql

#: Where Alembic writes down the version of the schema; the same in every installation.
VERSION_TABLE: Final = "whisper_persistence_version"
#: Where an installation keeps its prefix and its key for hashes; the same in every installation.
INSTALLATION_TABLE: Final = "whisper_persistence_installation"
#: Text that compares by code point on every database.
PlainText = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


@attrs.frozen(eq=False)
class Tables:
    """Every table, under the schema and prefix of one installation."""

    metadata: MetaData
    profiles: Table
    strategies: Table
    outcomes: Table
    statistics: Table
    scores: Table
    patterns: Table
    preferences: Table
    messages: Table
    vectors: Table
    terms: Table
    revisions: Table
    applied: Table
    followers: Table
    outbox: Table
    installation: Table


@cache
def tables(schema: str | None = None, prefix: str = "") -> Tables:
    """Return the tables as they are named in one installation.

    Args:
        schema: the schema they live in, or ``None`` for the database's own.
        prefix: what their names begin with.
    """
    metadata = MetaData(schema=schema)

    def table(name: str, *parts: Any, clustered: bool = False) -> Table:
        return Table(prefix + name, metadata, *parts, sqlite_with_rowid=not clustered)

    profiles = table(
        "user_emotional_profiles",
        *_keys("user_id"),
        _number("created_at"),
        _number("interventions", server_default=text("0")),
        _number("successes", server_default=text("0")),
        _number("effectiveness_sum", server_default=text("0")),
        clustered=True,
    )

    def owned() -> ForeignKeyConstraint:
        parent = [profiles.c.namespace, profiles.c.user_id]
        return ForeignKeyConstraint(["namespace", "user_id"], parent, ondelete="CASCADE")

    outcomes = table(
        "support_strategy_history",
        *_keys("user_id", "sequence"),
        _string("outcome_id"),
        _string("intervention_style"),
        _number("effectiveness"),
        _number("occurred_at"),
        _string("record"),
        owned(),
        UniqueConstraint("namespace", "user_id", "outcome_id"),
        clustered=True,
    )
    scores = table(
        "memory_importance_scores",
        *_keys("user_id", "memory_id"),
        _number("score"),
        _number("sequence"),
        _string("record"),
        owned(),
        clustered=True,
    )
    Index(
        f"{prefix}memory_importance_scores_top",
        scores.c.namespace,
        scores.c.user_id,
        scores.c.score,
        scores.c.memory_id,
    )
    Index(
        f"{prefix}memory_importance_scores_recent", scores.c.namespace, scores.c.user_id, scores.c.sequence, unique=True
    )
    messages = table(
        "conversation_history",
        *_keys("conversation_id", "sequence"),
        _string("message_id"),
        _string("user_id"),
        Column("other_author", PlainText),
        _string("record"),
        owned(),
        UniqueConstraint("namespace", "conversation_id", "message_id"),
        clustered=True,
    )
    Index(
        f"{prefix}conversation_history_user",
        messages.c.namespace,
        messages.c.user_id,
        messages.c.conversation_id,
        messages.c.sequence,
    )
    elsewhere = text("other_author IS NOT NULL")
    Index(
        f"{prefix}conversation_history_author",
        messages.c.namespace,
        messages.c.other_author,
        sqlite_where=elsewhere,
        postgresql_where=elsewhere,
    )
    vectors = table(
        "message_vectors",
        *_keys("conversation_id", "sequence", "model"),
        Column("embedding", LargeBinary, nullable=False),
        ForeignKeyConstraint(
            ["namespace", "conversation_id", "sequence"],
            [messages.c.namespace, messages.c.conversation_id, messages.c.sequence],
            ondelete="CASCADE",
        ),
        clustered=True,
    )
    terms = _terms(table, messages, schema, prefix)
    applied = table("applied_changes", *_keys("change_id"), _number("applied_at"), clustered=True)
    Index(f"{prefix}applied_changes_age", applied.c.applied_at)
    return Tables(
        metadata,
        profiles=profiles,
        strategies=table("user_support_strategies", *_keys("user_id"), _string("record"), owned()),
        outcomes=outcomes,
        statistics=table(
            "user_memory_statistics", *_keys("user_id"), _number("stored_scores"), _string("record"), owned()
        ),
        scores=scores,
        patterns=table(
            "memory_importance_patterns", *_keys("user_id", "pattern_id"), _string("record"), owned(), clustered=True
        ),
        preferences=table("user_memory_preferences", *_keys("user_id"), _string("record"), owned()),
        messages=messages,
        vectors=vectors,
        terms=terms,
        revisions=table(
            "revisions",
            Column("thing", PlainText, primary_key=True),
            *(_number(name) for name in ("revision", "epoch", "sequence", "cleared")),
            clustered=True,
        ),
        applied=applied,
        followers=table("followers", *_keys("name", "kind"), clustered=True),
        outbox=table("outbox", *_keys("follower", "kind", "thing_id", "item"), _number("revision"), clustered=True),
        installation=Table(
            INSTALLATION_TABLE,
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),
            _string("prefix"),
            _string("hash_key"),
        ),
    )


def _terms(table: Any, messages: Table, schema: str | None, prefix: str) -> Table:
    """Return what the text index knows of each message; SQLite's FTS5 names its rows by number, PostgreSQL by key."""
    place = ("namespace", "conversation_id", "sequence")
    parent = [messages.c[name] for name in place]
    columns = [_number(name) if name == "sequence" else _string(name) for name in place]
    numbered = [Column("id", Integer, primary_key=True), *columns, UniqueConstraint(*place)]
    terms: Table = table(
        "message_terms",
        *(numbered if schema is None else [*columns, PrimaryKeyConstraint(*place)]),
        *(_string(name) for name in ("user_id", "author_id")),
        *(_number(name) for name in ("written_at", "place")),
        *(_string(name) for name in ("marks", "terms", "names")),
        ForeignKeyConstraint(place, parent, ondelete="CASCADE"),
    )
    columns_of = terms.c
    user = (columns_of.namespace, columns_of.user_id, columns_of.conversation_id, columns_of.place)
    Index(f"{prefix}message_terms_user", *user)
    if schema is not None:
        Index(f"{prefix}message_terms_words", lexemes(columns_of), postgresql_using="gin")
    return terms


def lexemes(columns: Any) -> Any:
    """Return the words of a message as PostgreSQL's text search indexes them: as they are."""
    blank = text("' '")
    words = func.string_to_array(columns.marks.op("||")(blank).op("||")(columns.terms), blank)
    return func.array_to_tsvector(words)


def _keys(*names: str) -> tuple[Any, ...]:
    columns = [_number(name) if name == "sequence" else _string(name) for name in ("namespace", *names)]
    return (*columns, PrimaryKeyConstraint(*(column.name for column in columns)))


def _string(name: str) -> Column[str]:
    return Column(name, PlainText, nullable=False)


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **options)
