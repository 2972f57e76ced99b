"""The tables of the hash chains of `whisper_persistence_drivers.sql.chaining`; the history itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from sqlalchemy import Table

from whisper_persistence_drivers.sql.columns import number, string


@attrs.frozen(eq=False)
class ChainTables:
    """Links, the salts of what is there still, and where each chain ends."""

    links: Table
    salts: Table
    heads: Table


def chain_tables(table: Callable[..., Table]) -> ChainTables:
    """Return the tables as they are named in one installation.

    Args:
        table: makes a table of a name and its parts.
    """
    return ChainTables(
        links=table(
            "message_links",
            _key("namespace"),
            _key("thing"),
            number("position", primary_key=True),
            string("action"),
            number("sequence"),
            string("digest"),
            string("link"),
            clustered=True,
        ),
        salts=table(
            "message_salts",
            _key("namespace"),
            _key("thing"),
            number("sequence", primary_key=True),
            string("salt"),
            clustered=True,
        ),
        heads=table(
            "message_heads",
            _key("namespace"),
            _key("thing"),
            number("position"),
            string("link"),
            string("seal"),
            clustered=True,
        ),
    )


def _key(name: str) -> Any:
    return string(name, primary_key=True)
