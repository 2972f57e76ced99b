"""FTS5: an index without contents of its own over `message_terms`, whose rows it names by number.

The messages of one user have numbers of one range, so that a search for a user reads one stretch of each word's list,
however long that is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from whisper_persistence.errors import ConfigurationError
from whisper_persistence_drivers.sql.database import Database
from whisper_persistence_drivers.sql.session import Session
from whisper_persistence_drivers.sql.terms import TermRow, conversation_mark, marks
from whisper_persistence_drivers.sql.text_index import Scope, TextIndex
from whisper_persistence_drivers.sql.transaction import Transaction

#: So many numbers belong to one user, or to several whose hashes happen to be the same.
_STRETCH: Final = 1 << 32
_CONDITIONS: Final = {
    "user_id": "t.user_id = :user_id",
    "conversation_id": "t.conversation_id = :conversation_id",
    "author_id": "t.author_id = :author_id",
    "since": "t.written_at >= :since",
    "until": "t.written_at < :until",
}
_MAKE_INDEX: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS {text} USING fts5(words, content='', detail=none, tokenize='ascii')"
)
_MAKE_TRIGGER: Final = (
    "CREATE TRIGGER IF NOT EXISTS {terms}_removed AFTER DELETE ON {terms} BEGIN "
    "INSERT INTO {text}({text}, rowid, words) VALUES ('delete', old.id, old.marks || ' ' || old.terms); END"
)


class SqliteTextIndex(TextIndex):
    """The text index of a SQLite file. What is removed from `message_terms` leaves it by a trigger."""

    def prepare(self, database: Database) -> None:
        """Make the index.

        Raises:
            ConfigurationError: this SQLite has no FTS5.
        """
        with database.reading() as connection:
            able = connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchall()
            made = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = ?", (f"{_names(database.flavour.prefix)['terms']}_removed",)
            ).fetchall()
        if not able:
            raise ConfigurationError(
                f"driver 'sqlite': search needs FTS5, which SQLite {sqlite3.sqlite_version} was built without: "
                "use a Python whose SQLite has it, or set search = false"
            )
        if not made:
            with database.writing() as connection:
                for statement in (_MAKE_INDEX, _MAKE_TRIGGER):
                    connection.execute(statement.format(**_names(database.flavour.prefix)))

    def claim(self, transaction: Transaction) -> bool:
        """Yes: whoever writes into a SQLite file is alone."""
        del transaction
        return True

    def add(self, transaction: Transaction, rows: Sequence[TermRow]) -> None:
        """Add messages, numbered behind those of their user, in the order that FTS5 takes without a pause."""
        connection, names = transaction.connection, _names(transaction.flavour.prefix)
        last: dict[int, int] = {}
        numbered: list[tuple[Any, ...]] = []
        for row in rows:
            first = _first(transaction, row.user_id)
            number = last.get(first) or _last(connection, names, first)
            last[first] = number + 1
            numbered.append((number + 1, transaction.namespace, *row[:6], marks(transaction, row), *row[6:]))
        numbered.sort(key=lambda each: each[0])
        columns = "id, namespace, conversation_id, sequence, user_id, author_id, written_at, place, marks, terms, names"
        connection.executemany(
            f"INSERT INTO {names['terms']} ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            numbered,
        )
        words = [(each[0], f"{each[8]} {each[9]}") for each in numbered]
        connection.executemany(f"INSERT INTO {names['text']} (rowid, words) VALUES (?, ?)", words)  # noqa: S608

    def match(self, session: Session, tokens: Sequence[str], scope: Scope, limit: int) -> list[TermRow]:
        """Return the messages that have any of the words, the last indexed first."""
        statement = _statement(session.flavour.prefix, tuple(scope.named()), counting=False)
        rows = session.connection.execute(statement, _values(session, tokens, scope, limit)).fetchall()
        return [TermRow(*row) for row in rows]

    def count(self, session: Session, token: str, scope: Scope, limit: int) -> int:
        """Return how many messages have a word."""
        statement = _statement(session.flavour.prefix, tuple(scope.named()), counting=True)
        values = _values(session, [token], scope, limit)
        found: int = session.connection.execute(statement, values).fetchall()[0][0]
        return found


def _names(prefix: str) -> dict[str, str]:
    return {"text": f"{prefix}message_words", "terms": f"{prefix}message_terms"}


def _first(session: Session, user_id: str) -> int:
    """Return the number before a user's stretch."""
    hashed = blake2b(f"{session.namespace}\0{user_id}".encode(), key=session.hash_key, digest_size=4).digest()
    return (int.from_bytes(hashed) >> 1) * _STRETCH


def _last(connection: Any, names: dict[str, str], first: int) -> int:
    """Return the last number that is taken in the stretch after one."""
    newest = f"SELECT max(id) FROM {names['terms']} WHERE id > ? AND id < ?"  # noqa: S608
    found: int | None = connection.execute(newest, (first, first + _STRETCH)).fetchall()[0][0]
    return first if found is None else found


@cache
def _statement(prefix: str, conditions: Sequence[str], *, counting: bool) -> str:
    """Return the search under some conditions; FTS5 leads, and each message it names is looked up."""
    text, terms = _names(prefix).values()
    where = [f"{text} MATCH :match"]
    if "user_id" in conditions:
        where.append(f"{text}.rowid BETWEEN :first AND :last")
    if counting and set(conditions) <= {"user_id", "conversation_id"}:
        tables, columns = text, "1"
    else:
        tables = f"{text} CROSS JOIN {terms} AS t ON t.id = {text}.rowid"
        columns = ", ".join(f"t.{name}" for name in TermRow._fields)
        where += [_CONDITIONS[name] for name in conditions]
    found = f"SELECT {columns} FROM {tables} WHERE {' AND '.join(where)} ORDER BY {text}.rowid DESC LIMIT :limit"  # noqa: S608
    return f"SELECT count(*) FROM ({found})" if counting else found  # noqa: S608


def _values(session: Session, tokens: Sequence[str], scope: Scope, limit: int) -> dict[str, Any]:
    words = " OR ".join(tokens)
    values: dict[str, Any] = {**scope.named(), "match": words, "limit": limit}
    if scope.conversation_id is not None:
        values["match"] = f"{conversation_mark(session, scope.conversation_id)} AND ({words})"
    if scope.user_id is not None:
        first = _first(session, scope.user_id)
        values |= {"first": first + 1, "last": first + _STRETCH - 1}
    return values
