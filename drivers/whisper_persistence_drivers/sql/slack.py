"""What deleted records leave in files: noted with their removal, until the files are written anew.

It is a row among the erases under way, of nobody and of no revision that a follower could see.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import delete, literal_column, select

from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine
from whisper_persistence_drivers.sql.transaction import Transaction

_NOBODY: Final = ""
_REVISION: Final = -1


class _Statements(NamedTuple):
    note: Prepared
    find: Prepared
    forget: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    erasures = flavour.tables.erasures
    noted = mine(erasures.c), erasures.c.revision == literal_column(f"({_REVISION})")
    return _Statements(
        note=flavour.add_missing(erasures),
        find=flavour.prepare(select(erasures.c.subject).where(*noted)),
        forget=flavour.prepare(delete(erasures).where(*noted)),
    )


def note_slack(transaction: Transaction) -> None:
    """Note that what this transaction deletes stays in files."""
    row = (transaction.namespace, _NOBODY, NEWEST, _REVISION)  # the newest, so that it never counts as late
    transaction.insert(_statements(transaction.flavour).note, [row])


def has_slack(session: Session) -> bool:
    """Say whether anything deleted may still be in files."""
    return bool(session.rows(_statements(session.flavour).find))


def forget_slack(transaction: Transaction) -> None:
    """Forget it, once the files are written anew."""
    transaction.run(_statements(transaction.flavour).forget)
