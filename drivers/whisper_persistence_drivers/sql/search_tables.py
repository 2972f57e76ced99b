"""The tables that search needs beside the messages, as SQLAlchemy Core sees them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    func,
    text,
)

from whisper_persistence_drivers.sql.columns import keys, number, string


def message_vectors(table: Any, messages: Table) -> Table:
    """Return the vectors of messages, one a message and embedder; they go with their message."""
    place = ["namespace", "conversation_id", "sequence"]
    vectors: Table = table(
        "message_vectors",
        *keys("conversation_id", "sequence", "model"),
        Column("embedding", LargeBinary, nullable=False),
        ForeignKeyConstraint(place, [messages.c[name] for name in place], ondelete="CASCADE"),
        clustered=True,
    )
    return vectors


def message_terms(table: Any, messages: Table, schema: str | None, prefix: str) -> Table:
    """Return what the text index knows of each message; SQLite's FTS5 names its rows by number, PostgreSQL by key."""
    place = ("namespace", "conversation_id", "sequence")
    parent = [messages.c[name] for name in place]
    columns = [number(name) if name == "sequence" else string(name) for name in place]
    numbered = [Column("id", Integer, primary_key=True), *columns, UniqueConstraint(*place)]
    terms: Table = table(
        "message_terms",
        *(numbered if schema is None else [*columns, PrimaryKeyConstraint(*place)]),
        *(string(name) for name in ("user_id", "author_id")),
        *(number(name) for name in ("written_at", "place")),
        *(string(name) for name in ("marks", "terms", "names")),
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
