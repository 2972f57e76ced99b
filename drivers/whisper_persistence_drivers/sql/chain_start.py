"""Switching chains on, where what is there is linked as it is and marked with the key, and off, where it all goes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, select

from whisper_persistence_drivers.sql.chain_mark import MARK
from whisper_persistence_drivers.sql.chaining import DIGESTED, Event, Links, Sealer, load_heads
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.transaction import Transaction

_log: Final = logging.getLogger(__name__)

#: How many conversations are linked in one transaction.
_TOGETHER: Final = 50


class _Statements(NamedTuple):
    put_mark: Prepared
    conversations: Prepared
    rows: Prepared
    cleared: Prepared
    remove: tuple[Prepared, Prepared, Prepared]


@cache
def _statements(flavour: Flavour) -> _Statements:
    messages, revisions, chains = flavour.tables.messages.c, flavour.tables.revisions.c, flavour.tables.chains
    links, salts, heads = chains.links, chains.salts, chains.heads
    after = messages.conversation_id > bindparam("after", type_=PlainText)
    names = select(messages.conversation_id).where(mine(messages), after).distinct().order_by(messages.conversation_id)
    here = (mine(messages), messages.conversation_id == bindparam("conversation", type_=PlainText))
    columns = (messages[name] for name in DIGESTED)
    return _Statements(
        put_mark=flavour.add_missing(heads),
        conversations=flavour.prepare(names.limit(bindparam("limit"))),
        rows=flavour.prepare(select(messages.sequence, *columns).where(*here).order_by(messages.sequence)),
        cleared=flavour.prepare(select(revisions.cleared).where(revisions.thing == bindparam("thing"))),
        remove=(
            flavour.prepare(delete(links).where(mine(links.c))),
            flavour.prepare(delete(salts).where(mine(salts.c))),
            flavour.prepare(delete(heads).where(mine(heads.c))),
        ),
    )


def start(write: Callable[..., Any], sealer: Sealer) -> None:
    """Link every conversation as it is, a few in each transaction, then mark the namespace."""
    count, after = 0, ""
    while names := write(_link_some, after):
        count, after = count + len(names), names[-1]
    write(_put_mark, sealer)
    _log.info("conversations have hash chains from now on", extra={"conversations": count})


def remove(transaction: Transaction) -> int:
    """Remove every chain of the namespace, and its mark; return how many chains there were."""
    links, salts, heads = _statements(transaction.flavour).remove
    transaction.run(links)
    transaction.run(salts)
    removed = transaction.run(heads) - 1
    _log.info("conversations have no hash chains any more", extra={"conversations": removed})
    return removed


def read_rows(session: Session, conversation_id: str) -> list[Any]:
    """Return the sequence and the digested columns of every message of a conversation, in its order."""
    return session.rows(_statements(session.flavour).rows, conversation=conversation_id)


def read_cleared(session: Session, thing: str) -> int:
    """Return a conversation's clear mark."""
    rows = session.rows(_statements(session.flavour).cleared, thing=thing)
    return rows[0][0] if rows else 0


def read_conversations(session: Session, after: str, limit: int) -> list[str]:
    """Return the conversations that have messages, those after one."""
    return [row[0] for row in session.rows(_statements(session.flavour).conversations, after=after, limit=limit)]


def _link_some(transaction: Transaction, after: str) -> list[str]:
    names = read_conversations(transaction, after, _TOGETHER)
    transaction.count("conversation", dict.fromkeys(names, (0, 0, 0)))
    keyed = transaction.keyed("conversation", names)
    linked = load_heads(transaction, keyed)
    links: Any = transaction.links
    for thing, name in keyed.items():
        if thing not in linked:
            _link(transaction, links, thing, name)
    return names


def _link(transaction: Transaction, links: Links, thing: str, name: str) -> None:
    for sequence, *row in read_rows(transaction, name):
        links.note(name, Event("add", sequence, tuple(row)))
    cleared = read_cleared(transaction, thing)
    if cleared:
        links.note(name, Event("clear", cleared))


def _put_mark(transaction: Transaction, sealer: Sealer) -> None:
    row = (transaction.namespace, MARK, 0, "", sealer.fingerprint())
    transaction.insert(_statements(transaction.flavour).put_mark, [row])
