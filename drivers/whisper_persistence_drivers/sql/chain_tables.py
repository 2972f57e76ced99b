"""The tables of the hash chains of `whisper_persistence_drivers.sql.chaining`; the history itself stays as it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Table

from whisper_persistence_drivers.sql.columns import number, string
from whisper_persistence_drivers.sql.table_maker import TableMaker


class ChainTables(NamedTuple):
    """Links, the salts of what is there still, and where each chain ends."""

    links: Table
    salts: Table
    heads: Table


def chain_tables(maker: TableMaker) -> ChainTables:
    """Make the tables of the chains."""
    position, sequence = number("position", primary_key=True), number("sequence", primary_key=True)
    return ChainTables(
        links=maker.table(
            "message_links",
            *_keys(),
            position,
            string("action"),
            number("sequence"),
            string("digest"),
            string("link"),
            clustered=True,
        ),
        salts=maker.table("message_salts", *_keys(), sequence, string("salt"), clustered=True),
        heads=maker.table(
            "message_heads", *_keys(), number("position"), string("link"), string("seal"), clustered=True
        ),
    )


def _keys() -> tuple[Any, Any]:
    return string("namespace", primary_key=True), string("thing", primary_key=True)
