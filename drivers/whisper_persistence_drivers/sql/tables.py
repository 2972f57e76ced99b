"""The tables, as SQLAlchemy Core sees them; the migrations create the same ones.

Every key leads with the namespace. What belongs to a user hangs on the user's row in ``user_emotional_profiles`` and
goes with it; what must survive an erase (revisions, applied changes) does not, and names the user or conversation by a
keyed hash alone. A record is JSON in one column, so that what a release does not know survives it and a page of
records is read in one step; beside it stand the columns that queries need. Times are whole microseconds since 1970 in
UTC, scores whole units of 1e-9.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import MetaData, Table

from whisper_persistence_drivers.sql import bookkeeping_tables as books
from whisper_persistence_drivers.sql import conversation_tables as talk
from whisper_persistence_drivers.sql import statistics_tables as memory
from whisper_persistence_drivers.sql import strategy_tables as support
from whisper_persistence_drivers.sql.bookkeeping_tables import INSTALLATION_TABLE
from whisper_persistence_drivers.sql.chain_tables import ChainTables, chain_tables
from whisper_persistence_drivers.sql.table_maker import TableMaker

__all__ = ["INSTALLATION_TABLE", "VERSION_TABLE", "Tables", "tables"]

#: Where Alembic writes down the version of the schema; the same in every installation.
VERSION_TABLE: Final = "whisper_persistence_version"


class Tables(NamedTuple):
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
    leases: Table
    outbox: Table
    erasures: Table
    chains: ChainTables
    installation: Table


@cache
def tables(schema: str | None = None, prefix: str = "") -> Tables:
    """Return the tables as they are named in one installation.

    Args:
        schema: the schema they live in, or ``None`` for the database's own.
        prefix: what their names begin with.
    """
    maker = TableMaker(MetaData(schema=schema), prefix)
    profiles = support.profiles(maker)
    messages = talk.messages(maker, profiles)
    return Tables(
        maker.metadata,
        profiles=profiles,
        strategies=support.strategies(maker, profiles),
        outcomes=support.outcomes(maker, profiles),
        statistics=memory.statistics(maker, profiles),
        scores=memory.scores(maker, profiles),
        patterns=memory.patterns(maker, profiles),
        preferences=memory.preferences(maker, profiles),
        messages=messages,
        vectors=talk.message_vectors(maker, messages),
        terms=talk.message_terms(maker, messages),
        revisions=books.revisions(maker),
        applied=books.applied(maker),
        tombstones=books.tombstones(maker),
        conflicts=books.conflicts(maker, profiles),
        followers=books.followers(maker),
        leases=books.leases(maker),
        outbox=books.outbox(maker),
        erasures=books.erasures(maker),
        chains=chain_tables(maker),
        installation=books.installation(maker.metadata),
    )
