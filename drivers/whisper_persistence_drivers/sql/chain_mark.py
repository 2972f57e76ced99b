"""What says that a namespace has hash chains, which every opening looks for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select

from whisper_persistence.errors import ConfigurationError
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine

if TYPE_CHECKING:
    from whisper_persistence_drivers.sql.chaining import Sealer

#: In place of a conversation: the row of the heads that says that a namespace has chains, and with which key.
MARK: Final = ""


@cache
def _mark(flavour: Flavour) -> Prepared:
    heads = flavour.tables.chains.heads.c
    return flavour.prepare(select(heads.seal).where(mine(heads), heads.thing == bindparam("mark")))


def check_mark(session: Session, sealer: Sealer | None, tier: str) -> bool:
    """Say whether the namespace has chains, which everybody who writes to it must then keep.

    Raises:
        ConfigurationError: it has, and the settings of this driver say nothing of it, or have another key.
    """
    rows = session.rows(_mark(session.flavour), mark=MARK)
    if rows and sealer is None:
        raise ConfigurationError(
            f"driver {tier!r}: the conversations of this database have hash chains, which a writer without them would "
            "break: set tamper_evidence = true"
        )
    if sealer is not None and rows and rows[0][0] != sealer.fingerprint():
        raise ConfigurationError(f"driver {tier!r}: tamper_key is not the key of this database's hash chains: set that")
    return bool(rows)
