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
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from whisper_persistence_drivers.sql.columns import PlainText, keys, number, string
from whisper_persistence_drivers.sql.search_tables import message_terms, message_vectors

#: Where Alembic writes down the version of the schema; the same in every installation.
VERSION_TABLE: Final = "whisper_persistence_version"
#: Where an installation keeps its prefix and its key for hashes; the same in every installation.
INSTALLATION_TABLE: Final = "whisper_persistence_installation"


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
    tombstones: Table
    conflicts: Table
    followers: Table
    outbox: Table
    erasures: Table
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
        *keys("user_id"),
        number("created_at"),
        number("interventions", server_default=text("0")),
        number("successes", server_default=text("0")),
        number("effectiveness_sum", server_default=text("0")),
        clustered=True,
    )

    def owned() -> ForeignKeyConstraint:
        parent = [profiles.c.namespace, profiles.c.user_id]
        return ForeignKeyConstraint(["namespace", "user_id"], parent, ondelete="CASCADE")

    outcomes = table(
        "support_strategy_history",
        *keys("user_id", "sequence"),
        string("outcome_id"),
        string("intervention_style"),
        number("effectiveness"),
        number("occurred_at"),
        string("record"),
        owned(),
        UniqueConstraint("namespace", "user_id", "outcome_id"),
        clustered=True,
    )
    scores = table(
        "memory_importance_scores",
        *keys("user_id", "memory_id"),
        number("score"),
        number("sequence"),
        string("record"),
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
        *keys("conversation_id", "sequence"),
        string("message_id"),
        string("user_id"),
        Column("other_author", PlainText),
        string("record"),
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
    # An option of a dialect has SQLAlchemy import the whole dialect.
    elsewhere: Any = {f"{'sqlite' if schema is None else 'postgresql'}_where": text("other_author IS NOT NULL")}
    Index(f"{prefix}conversation_history_author", messages.c.namespace, messages.c.other_author, **elsewhere)
    applied = table("applied_changes", *keys("change_id"), number("applied_at"), clustered=True)
    Index(f"{prefix}applied_changes_age", applied.c.applied_at)
    return Tables(
        metadata,
        profiles=profiles,
        strategies=table("user_support_strategies", *keys("user_id"), string("record"), owned()),
        outcomes=outcomes,
        statistics=table(
            "user_memory_statistics", *keys("user_id"), number("stored_scores"), string("record"), owned()
        ),
        scores=scores,
        patterns=table(
            "memory_importance_patterns", *keys("user_id", "pattern_id"), string("record"), owned(), clustered=True
        ),
        preferences=table("user_memory_preferences", *keys("user_id"), string("record"), owned()),
        messages=messages,
        vectors=message_vectors(table, messages),
        terms=message_terms(table, messages, schema, prefix),
        revisions=table(
            "revisions",
            Column("thing", PlainText, primary_key=True),
            *(number(name) for name in ("revision", "epoch", "sequence", "cleared")),
            clustered=True,
        ),
        applied=applied,
        tombstones=table(
            "tombstones",
            Column("thing", PlainText, primary_key=True),
            number("number"),
            string("writer"),
            number("writers_number"),
            number("erased_at"),
            clustered=True,
        ),
        conflicts=table(
            "conflicts", *keys("user_id", "kind", "item", "change_id"), number("noted_at"), string("record"), owned()
        ),
        followers=table("followers", *keys("name", "kind"), clustered=True),
        outbox=table("outbox", *keys("follower", "kind", "thing_id", "item"), number("revision"), clustered=True),
        erasures=table(
            "erasures", *keys("subject"), *(number(name) for name in ("noted_at", "revision")), clustered=True
        ),
        installation=Table(
            INSTALLATION_TABLE,
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),
            string("prefix"),
            string("hash_key"),
        ),
    )
