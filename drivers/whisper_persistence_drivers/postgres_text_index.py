"""PostgreSQL's text search: a GIN index over the hashes of each message's words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY

from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.conversation_tables import lexemes
from whisper_persistence_drivers.sql.database import Database
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.terms import TermRow, conversation_mark, marks, user_mark
from whisper_persistence_drivers.sql.text_index import Scope, TextIndex
from whisper_persistence_drivers.sql.transaction import Transaction


class PostgresTextIndex(TextIndex):
    """The text index of a PostgreSQL database; what is removed from `message_terms` is removed from it."""

    def prepare(self, database: Database) -> None:
        """Nothing: the migration made it."""

    def claim(self, transaction: Transaction) -> bool:
        """Take the lock of the namespace's index until the transaction ends, unless another process has it."""
        key = int.from_bytes(bytes.fromhex(transaction.thing_key("user", "\0text-index"))[:8], signed=True)
        taken: bool = transaction.connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchall()[0][0]
        return taken

    def add(self, transaction: Transaction, rows: Sequence[TermRow]) -> None:
        """Add messages."""
        values = [(transaction.namespace, *row[:6], marks(transaction, row), *row[6:]) for row in rows]
        transaction.insert(_add(transaction.flavour), values)

    def match(self, session: Session, tokens: Sequence[str], scope: Scope, limit: int) -> list[TermRow]:
        """Return the messages that have any of the words, the newest first."""
        statement = _statement(session.flavour, tuple(scope.named()), counting=False)
        return [TermRow(*row) for row in session.rows(statement, **_values(session, tokens, scope, limit))]

    def count(self, session: Session, token: str, scope: Scope, limit: int) -> int:
        """Return how many messages have a word."""
        statement = _statement(session.flavour, tuple(scope.named()), counting=True)
        found: int = session.rows(statement, **_values(session, [token], scope, limit))[0][0]
        return found


@cache
def _add(flavour: Flavour) -> Prepared:
    return flavour.add(flavour.tables.terms)


@cache
def _statement(flavour: Flavour, conditions: Sequence[str], *, counting: bool) -> Prepared:
    """Return the search under some conditions.

    What matches is found first, whatever the order: asked for the newest that match, the planner would walk through
    every message from the newest on.
    """
    columns = flavour.tables.terms.c
    asked = cast(bindparam("match", type_=Text()), TSQUERY)
    found = select(*(columns[name] for name in TermRow._fields)).where(
        mine(columns), lexemes(columns).op("@@")(asked), *(_condition(columns, name) for name in conditions)
    )
    limit = bindparam("limit", type_=BigInteger())
    if counting:
        counted = found.with_only_columns(literal_column("1")).limit(limit).subquery()
        return flavour.prepare(select(func.count()).select_from(counted))
    matching = found.cte("matching").prefix_with("MATERIALIZED")
    newest = (matching.c.written_at.desc(), matching.c.conversation_id, matching.c.sequence.desc())
    return flavour.prepare(select(*matching.c).order_by(*newest).limit(limit))


def _condition(columns: Any, name: str) -> ColumnElement[bool]:
    if name in ("since", "until"):
        moment = bindparam(name, type_=BigInteger())
        bound: ColumnElement[bool] = columns.written_at >= moment if name == "since" else columns.written_at < moment
        return bound
    same: ColumnElement[bool] = columns[name] == bindparam(name, type_=PlainText)
    return same


def _values(session: Session, tokens: Sequence[str], scope: Scope, limit: int) -> dict[str, Any]:
    must = [f"({' | '.join(tokens)})"]
    if scope.user_id is not None:
        must.append(user_mark(session, scope.user_id))
    if scope.conversation_id is not None:
        must.append(conversation_mark(session, scope.conversation_id))
    return {**scope.named(), "match": " & ".join(must), "limit": limit}
