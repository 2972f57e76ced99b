"""The tables of strategies; the user's row among them is the parent of all that belongs to the user."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint, text

from whisper_persistence_drivers.sql.columns import checked_record, keys, number, string
from whisper_persistence_drivers.sql.table_maker import TableMaker, owned


def profiles(maker: TableMaker) -> Table:
    """Make the users, each with the totals of their outcomes."""
    return maker.table(
        "user_emotional_profiles",
        *keys("user_id"),
        number("created_at"),
        number("interventions", server_default=text("0")),
        number("successes", server_default=text("0")),
        number("effectiveness_sum", server_default=text("0")),
        clustered=True,
    )


def strategies(maker: TableMaker, profiles: Table) -> Table:
    """Make what is known of how to support each user."""
    return maker.table("user_support_strategies", *keys("user_id"), *checked_record(), owned(profiles))


def outcomes(maker: TableMaker, profiles: Table) -> Table:
    """Make the history of what was tried and how it went."""
    return maker.table(
        "support_strategy_history",
        *keys("user_id", "sequence"),
        string("outcome_id"),
        string("intervention_style"),
        number("effectiveness"),
        number("occurred_at"),
        *checked_record(),
        owned(profiles),
        UniqueConstraint("namespace", "user_id", "outcome_id"),
        clustered=True,
    )
