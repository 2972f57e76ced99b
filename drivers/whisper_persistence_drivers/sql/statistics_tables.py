"""The tables of statistics: what matters to each user."""

from __future__ import annotations

from sqlalchemy import Table

from whisper_persistence_drivers.sql.columns import checked_record, keys, number
from whisper_persistence_drivers.sql.table_maker import TableMaker, owned


def statistics(maker: TableMaker, profiles: Table) -> Table:
    """Make each user's totals over their scores."""
    parts = (*keys("user_id"), number("stored_scores"), *checked_record(), owned(profiles))
    return maker.table("user_memory_statistics", *parts)


def scores(maker: TableMaker, profiles: Table) -> Table:
    """Make the scores of memories, found from the highest and from the newest."""
    made = maker.table(
        "memory_importance_scores",
        *keys("user_id", "memory_id"),
        number("score"),
        number("sequence"),
        *checked_record(),
        owned(profiles),
        clustered=True,
    )
    user = (made.c.namespace, made.c.user_id)
    maker.index("memory_importance_scores_top", *user, made.c.score, made.c.memory_id)
    maker.index("memory_importance_scores_recent", *user, made.c.sequence, unique=True)
    return made


def patterns(maker: TableMaker, profiles: Table) -> Table:
    """Make the patterns seen in what matters to each user."""
    parts = (*keys("user_id", "pattern_id"), *checked_record(), owned(profiles))
    return maker.table("memory_importance_patterns", *parts, clustered=True)


def preferences(maker: TableMaker, profiles: Table) -> Table:
    """Make each user's preferences."""
    return maker.table("user_memory_preferences", *keys("user_id"), *checked_record(), owned(profiles))
