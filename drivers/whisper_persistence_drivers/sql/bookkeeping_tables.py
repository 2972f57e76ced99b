"""The tables that keep the books: what changed, what was applied and erased, who follows, and what they have to see.

What must survive an erase (revisions, applied changes) hangs on no user's row, and names the user or conversation by a
keyed hash alone.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Integer, MetaData, Table

from whisper_persistence_drivers.sql.columns import PlainText, keys, number, string
from whisper_persistence_drivers.sql.table_maker import TableMaker, owned

#: Where an installation keeps its prefix and its key for hashes; the same in every installation.
INSTALLATION_TABLE: Final = "whisper_persistence_installation"


def revisions(maker: TableMaker) -> Table:
    """Make the counters of each user and conversation, which only grow."""
    counters = (number(name) for name in ("revision", "epoch", "sequence", "cleared"))
    return maker.table("revisions", Column("thing", PlainText, primary_key=True), *counters, clustered=True)


def applied(maker: TableMaker) -> Table:
    """Make the changes that were applied, so that a replay does nothing."""
    made = maker.table("applied_changes", *keys("change_id"), number("applied_at"), clustered=True)
    maker.index("applied_changes_age", made.c.applied_at)
    return made


def tombstones(maker: TableMaker) -> Table:
    """Make what says that a thing was erased."""
    return maker.table(
        "tombstones",
        Column("thing", PlainText, primary_key=True),
        number("number"),
        string("writer"),
        number("writers_number"),
        number("erased_at"),
        clustered=True,
    )


def conflicts(maker: TableMaker, profiles: Table) -> Table:
    """Make the replayed records that came too late, beside the newer ones that stayed."""
    key = keys("user_id", "kind", "item", "change_id")
    return maker.table("conflicts", *key, number("noted_at"), string("record"), owned(profiles))


def followers(maker: TableMaker) -> Table:
    """Make who follows which kind of record."""
    return maker.table("followers", *keys("name", "kind"), clustered=True)


def leases(maker: TableMaker) -> Table:
    """Make who alone works off what a follower has not seen, and until when."""
    held = (string("holder"), number("fence"), number("until"), string("note"))
    return maker.table("follower_leases", *keys("follower"), *held, clustered=True)


def outbox(maker: TableMaker) -> Table:
    """Make what each follower has not seen."""
    return maker.table("outbox", *keys("follower", "kind", "thing_id", "item"), number("revision"), clustered=True)


def erasures(maker: TableMaker) -> Table:
    """Make the erasures that are under way."""
    return maker.table("erasures", *keys("subject"), number("noted_at"), number("revision"), clustered=True)


def installation(metadata: MetaData) -> Table:
    """Make the one row of an installation, whose table has no prefix: it says what the prefix is."""
    return Table(
        INSTALLATION_TABLE,
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        string("prefix"),
        string("hash_key"),
    )
