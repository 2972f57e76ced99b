"""The least that synchronous code over the standard library's sqlite3 has to do.

The layout is the conventional one: a table with a rowid and an index on conversation and id, records as JSON text.
Answers are plain tuples and dicts. Every statement is a constant, so that sqlite3 keeps it prepared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from data import Line, Turn

#: What the sqlite driver sets too.
PRAGMAS: Final = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "secure_delete": "ON",
    "temp_store": "MEMORY",
    "cache_size": "-4096",
    "mmap_size": "0",
    "busy_timeout": "30000",
}
#: Opening parameters that make reads of a large file cheaper, for comparison.
LARGE_CACHE: Final = {**PRAGMAS, "cache_size": "-65536", "mmap_size": str(1 << 28)}

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages(
    id INTEGER PRIMARY KEY, conversation TEXT, user TEXT, author TEXT, role TEXT, content TEXT, created INTEGER);
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages(conversation, id);
CREATE TABLE IF NOT EXISTS strategies(user_id TEXT PRIMARY KEY, record TEXT);
CREATE TABLE IF NOT EXISTS outcomes(id INTEGER PRIMARY KEY, user_id TEXT, record TEXT);
CREATE INDEX IF NOT EXISTS outcomes_by_user ON outcomes(user_id, id);
CREATE TABLE IF NOT EXISTS scores(
    user_id TEXT, memory_id TEXT, score REAL, record TEXT, PRIMARY KEY(user_id, memory_id));
CREATE TABLE IF NOT EXISTS statistics(user_id TEXT PRIMARY KEY, count INTEGER, sum REAL, low REAL, high REAL);
"""
APPEND: Final = """INSERT INTO messages(conversation, user, author, role, content, created)
    VALUES (?, ?, ?, 'user', ?, ?), (?, ?, 'bot', 'assistant', ?, ?)"""
IMPORT: Final = "INSERT INTO messages(conversation, user, author, role, content, created) VALUES (?, ?, ?, ?, ?, ?)"
READ: Final = "SELECT * FROM messages WHERE conversation = ? ORDER BY id DESC LIMIT 20"
_SAVE: Final = "INSERT INTO strategies VALUES (?, ?) ON CONFLICT(user_id) DO UPDATE SET record = excluded.record"
_LOAD: Final = "SELECT record FROM strategies WHERE user_id = ?"
_OUTCOME: Final = "INSERT INTO outcomes(user_id, record) VALUES (?, ?)"
_SCORE: Final = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)"
_COUNT: Final = """INSERT INTO statistics VALUES (?1, 1, ?2, ?2, ?2) ON CONFLICT(user_id) DO UPDATE SET
    count = count + 1, sum = sum + ?2, low = min(low, ?2), high = max(high, ?2)"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def connect(path: Path, pragmas: dict[str, str]) -> sqlite3.Connection:
    """Return a connection that commits by itself, to a file with the floor's tables."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}")
    connection.executescript(SCHEMA)
    return connection


def parameters(turn: Turn) -> tuple[str | int, ...]:
    """Return what `APPEND` binds for a turn."""
    conversation, user, question, answer, created = turn
    return conversation, user, user, question, created, conversation, user, answer, created


class Floor:
    """Synchronous sqlite3, as little as there can be."""

    def __init__(self, path: Path, pragmas: dict[str, str] = PRAGMAS) -> None:
        self._connection = connect(path, pragmas)
        self._execute = self._connection.execute

    def close(self) -> None:
        self._connection.close()

    def append(self, turn: Turn) -> None:
        self._execute(APPEND, parameters(turn))

    def last(self, conversation: str) -> list[Any]:
        return self._execute(READ, (conversation,)).fetchall()[::-1]

    def save(self, profile: dict[str, Any]) -> None:
        self._execute(_SAVE, (profile["user_id"], _encode(profile).decode()))

    def load(self, user: str) -> dict[str, Any]:
        return _decode(self._execute(_LOAD, (user,)).fetchone()[0])

    def learn(self, user: str, number: int) -> None:
        entry = {"intervention_id": f"i{number}", "intervention_style": "gentle_check_in", "effectiveness_score": 0.8}
        self._execute("BEGIN IMMEDIATE")
        record = self.load(user)
        record["support_history"] = [*record["support_history"], entry][-10:]
        if "gentle_check_in" not in record["effective_approaches"]:
            record["effective_approaches"].append("gentle_check_in")
        self.save(record)
        self._execute(_OUTCOME, (user, _encode(entry).decode()))
        self._execute("COMMIT")

    def score(self, user: str, number: int) -> None:
        record = {"memory_id": f"memory-{number}", "overall_score": 0.6, "factor_scores": {"recency": 0.5}}
        self._execute("BEGIN IMMEDIATE")
        self._execute(_SCORE, (user, f"memory-{number}", 0.6, _encode(record).decode()))
        self._execute(_COUNT, (user, 0.6))
        self._execute("COMMIT")

    def pack(self, lines: Sequence[Line]) -> Any:
        return [line[:6] for line in lines]

    def fill(self, batches: Sequence[Any]) -> None:
        for batch in batches:
            self._execute("BEGIN IMMEDIATE")
            self._connection.executemany(IMPORT, batch)
            self._execute("COMMIT")

    def fill_strategies(self, profiles: Sequence[dict[str, Any]]) -> None:
        self._execute("BEGIN IMMEDIATE")
        for profile in profiles:
            self.save(profile)
        self._execute("COMMIT")

    def plain_messages(self, answer: Any) -> list[Any]:
        return [(author, role, content) for _, _, _, author, role, content, _ in answer]

    def plain_strategy(self, answer: Any) -> list[Any]:
        return [answer["user_id"], list(answer["effective_approaches"]), answer["optimal_timing"]]


class OneTransactionFloor(Floor):
    """The same, importing everything in a single transaction."""

    def fill(self, batches: Sequence[Any]) -> None:
        super().fill([[row for batch in batches for row in batch]])


class ForgetfulFloor(Floor):
    """The same, losing one message in 200: what the comparison of answers is there to find."""

    def pack(self, lines: Sequence[Line]) -> Any:
        return [line[:6] for number, line in enumerate(lines) if number % 200 != 137]


def with_large_cache(path: Path) -> Floor:
    """Return the floor with a large cache and memory-mapped reads."""
    return Floor(path, LARGE_CACHE)
