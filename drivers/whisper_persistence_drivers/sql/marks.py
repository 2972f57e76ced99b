"""Reading clear marks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from sqlalchemy import literal_column, select

from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session


def read_marks(session: Session, conversation_ids: Iterable[str]) -> dict[str, int]:
    """Return the last sequence that is cleared of those conversations in which any is."""
    keyed = session.keyed("conversation", conversation_ids)
    rows = session.listed(_marks(session.flavour), keyed) if keyed else []
    return {keyed[key]: cleared for key, cleared in rows}


@cache
def _marks(flavour: Flavour) -> Prepared:
    revisions = flavour.tables.revisions.c
    cleared = revisions.cleared > literal_column("0")
    return flavour.prepare(select(revisions.thing, revisions.cleared).where(flavour.among(revisions.thing), cleared))
