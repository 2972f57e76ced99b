"""The table of conversations, and those that search needs beside it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    func,
    text,
)

from whisper_persistence_drivers.sql.columns import PlainText, checked_record, keys, number, string
from whisper_persistence_drivers.sql.table_maker import TableMaker, owned

_PLACE: Final = ("namespace", "conversation_id", "sequence")


def messages(maker: TableMaker, profiles: Table) -> Table:
    """Make the conversations, clustered in their order, found by user and by author where that is another."""
    made = maker.table(
        "conversation_history",
        *keys("conversation_id", "sequence"),
        string("message_id"),
        string("user_id"),
        Column("other_author", PlainText),
        *checked_record(),
        owned(profiles),
        UniqueConstraint("namespace", "message_id", "conversation_id"),
        clustered=True,
    )
    columns = made.c
    user = (columns.namespace, columns.user_id, columns.conversation_id, columns.sequence)
    maker.index("conversation_history_user", *user)
    author = (columns.namespace, columns.other_author)
    # An option of a dialect has SQLAlchemy import the whole dialect.
    dialect = "sqlite" if maker.metadata.schema is None else "postgresql"
    maker.index("conversation_history_author", *author, **{f"{dialect}_where": text("other_author IS NOT NULL")})
    return made


def message_vectors(maker: TableMaker, messages: Table) -> Table:
    """Make the vectors of messages, one a message and embedder."""
    return maker.table(
        "message_vectors",
        *keys("conversation_id", "sequence", "model"),
        Column("embedding", LargeBinary, nullable=False),
        _of_message(messages),
        clustered=True,
    )


def message_terms(maker: TableMaker, messages: Table) -> Table:
    """Make what the text index knows of each message; SQLite's FTS5 names its rows by number, PostgreSQL by key."""
    in_schema = maker.metadata.schema is not None
    columns = [number(name) if name == "sequence" else string(name) for name in _PLACE]
    numbered = [Column("id", Integer, primary_key=True), *columns, UniqueConstraint(*_PLACE)]
    made = maker.table(
        "message_terms",
        *([*columns, PrimaryKeyConstraint(*_PLACE)] if in_schema else numbered),
        *(string(name) for name in ("user_id", "author_id")),
        *(number(name) for name in ("written_at", "place")),
        *(string(name) for name in ("marks", "terms", "names")),
        _of_message(messages),
    )
    user = (made.c.namespace, made.c.user_id, made.c.conversation_id, made.c.place)
    maker.index("message_terms_user", *user)
    if in_schema:
        maker.index("message_terms_words", lexemes(made.c), postgresql_using="gin")
    return made


def _of_message(messages: Table) -> ForeignKeyConstraint:
    """Return what hangs a row on its message, so that it goes with it."""
    return ForeignKeyConstraint(_PLACE, [messages.c[name] for name in _PLACE], ondelete="CASCADE")


def lexemes(columns: Any) -> Any:
    """Return the words of a message as PostgreSQL's text search indexes them: as they are."""
    blank = text("' '")
    words = func.string_to_array(columns.marks.op("||")(blank).op("||")(columns.terms), blank)
    return func.array_to_tsvector(words)
