"""When users were erased, and by whom, so that a write replayed later is judged by it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import select

from whisper_persistence.origins import Origin, current_origin
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import to_micros
from whisper_persistence_drivers.sql.transaction import Transaction


class _Statements(NamedTuple):
    find: Prepared
    put: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tombstones = flavour.tables.tombstones
    columns: Any = tombstones.c
    return _Statements(
        find=flavour.prepare(select(*columns).where(flavour.among(columns.thing))), put=flavour.put(tombstones)
    )


def put_tombstones(transaction: Transaction, user_ids: Iterable[str]) -> None:
    """Give this erase the next number of the namespace, and write down whom it erased."""
    keys = sorted(transaction.thing_key("user", user_id) for user_id in user_ids)
    if not keys:
        return
    space = transaction.space_key()
    (row,) = transaction.flavour.count(transaction, [(space, 1, 1, 0)])
    origin = current_origin()
    writer, number = (origin.writer, origin.number) if origin else ("", 0)
    now = to_micros(datetime.now(UTC))
    transaction.insert(_statements(transaction.flavour).put, [(key, row[2], writer, number, now) for key in keys])


def erased_since(transaction: Transaction, origin: Origin, user_ids: Iterable[str]) -> dict[str, int]:
    """Return those users who were erased after the writes of an origin, with the numbers of those erases."""
    keyed = {transaction.thing_key("user", user_id): user_id for user_id in user_ids}
    found = transaction.listed(_statements(transaction.flavour).find, keyed)
    return {keyed[key]: erasure[0] for key, *erasure in found if _is_later(origin, *erasure)}


def _is_later(origin: Origin, number: int, writer: str, writers_number: int, erased_at: int) -> bool:
    if writer == origin.writer:
        return origin.number <= writers_number
    if origin.erasures is not None:
        return number > origin.erasures
    return erased_at >= to_micros(origin.written_at)
