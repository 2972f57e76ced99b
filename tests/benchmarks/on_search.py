"""Measure search by words on SQLite against the standard library's ``sqlite3``, against a peer, and against itself.

``python tests/benchmarks/on_search.py [--scale NAME] [--json FILE]`` prints one table. The floors look through a long
conversation with LIKE, and through a whole file with FTS5; they rank nothing and keep every word readable.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import data
import options
from judging import Bar, at_most, times_slower
from on_postgres import in_turns, measured
from report import Measured, as_table, show, write
from rich.console import Console
from timing import Spent, time_calls

from whisper_persistence import Message, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import SearchQuery

SCALES: Final = {
    "full": {"few": 10_000, "many": 1_000_000, "appends": 2_000, "rounds": 10},
    "quick": {"few": 2_000, "many": 20_000, "appends": 500, "rounds": 4},
    "micro": {"few": 400, "many": 800, "appends": 20, "rounds": 1},
}
#: Messages of each user's conversation.
EACH: Final = 200
#: So long a busy bot pauses between two messages, in seconds.
PACE: Final = 0.002
#: Words and how often each is said: the n-th so often as 1 / n, as in any language.
_WORDS: Final = [
    f"{first}{second}{third}"
    for first in "bdfgklmnrstv"
    for second in ("a", "e", "i", "o", "u", "ai", "ea", "ou")
    for third in ("l", "m", "n", "r", "s", "t", "nd", "rk", "st", "lly")
]
_TALK: Final = random.Random(1).choices(_WORDS, [1 / rank for rank in range(1, len(_WORDS) + 1)], k=40_000)
LIKE: Final = "SELECT content FROM messages WHERE conversation = ? AND content LIKE ? ORDER BY id DESC LIMIT 10"
MATCH: Final = "SELECT rowid, bm25(words) FROM words WHERE words MATCH ? ORDER BY bm25(words) LIMIT 10"

_say = Console(stderr=True).print


def open_store(path: Path, *, search: bool) -> Store:
    """Open a file, with or without the index."""
    return Store(Chain.build([DriverSpec("sqlite", {"path": str(path), "search": search})]))


def words(number: int) -> list[str]:
    """Return what the message of this number says: 8 to 30 words."""
    start = number * 7_919 % (len(_TALK) - 30)
    return _TALK[start : start + 8 + number * 31 % 23]


def talk(count: int) -> Iterator[Message]:
    """Return so many messages, spread over users in the order of life, each user in a conversation of their own."""
    users = max(count // EACH, 1)
    for number in range(count):
        name = data.user_name(number % users)
        yield Message(name, name, name, " ".join(words(number)), message_id=f"m{number}")


def fill(store: Store, count: int) -> None:
    """Write a talk, and wait until all of it is indexed."""
    source = talk(count)
    while batch := list(islice(source, 1_000)):
        store.save_messages(batch)
    while store.check_health()[0].details["search_lag"]:
        time.sleep(0.05)


class Floor:
    """The same messages in two plain tables."""

    def __init__(self, path: Path, count: int) -> None:
        self._connection = sqlite3.connect(path)
        execute = self._connection.execute
        execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, conversation TEXT, content TEXT)")
        execute("CREATE INDEX messages_by_conversation ON messages(conversation, id)")
        execute("CREATE VIRTUAL TABLE words USING fts5(content)")
        for message in talk(count):
            execute("INSERT INTO messages(conversation, content) VALUES (?, ?)", (message.user_id, message.content))
            execute("INSERT INTO words VALUES (?)", (message.content,))
        self._connection.commit()

    def like(self, user: str, word: str) -> list[Any]:
        """Return the newest messages of a conversation that hold a word."""
        return self._connection.execute(LIKE, (user, f"%{word}%")).fetchall()

    def match(self, asked: list[str]) -> list[Any]:
        """Return the best messages of all that hold any of the words."""
        return self._connection.execute(MATCH, (" OR ".join(f'"{word}"' for word in asked),)).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def peer(path: Path, count: int) -> Callable[[str, str], Any] | None:
    """Return how openai-agents finds turns by content, over the same talk; ``None`` where it is not installed."""
    try:
        from agents.extensions.memory import AdvancedSQLiteSession
    except ImportError:
        return None
    talks: dict[str, list[Any]] = {}
    for message in talk(count):
        talks.setdefault(message.user_id, []).append({"role": "user", "content": message.content})
    sessions = {
        user: AdvancedSQLiteSession(session_id=user, db_path=path, create_tables=True)
        for user in list(talks)[: max(1, 2_000 // EACH)]
    }
    runner = asyncio.Runner()
    for user, session in sessions.items():
        runner.run(session.add_items(talks[user]))
    names = list(sessions)
    return lambda _, word: runner.run(sessions[random.choice(names)].find_turns_by_content(word))


def append_line(folder: Path, appends: int) -> Measured:
    """Append to a file with the index and to one without, in turns, at the pace of a busy bot."""
    stores = {name: open_store(folder / f"{name}.db", search=name == "on") for name in ("off", "on")}
    spent = {name: Spent() for name in stores}
    for number in range(appends):
        for name in ("off", "on")[:: 1 if number % 2 else -1]:
            message = Message(f"talk {number % 20}", f"user {number % 20}", "bot", " ".join(words(number)), "assistant")
            spent[name] += time_calls(stores[name].save_messages, [([message],)])
            time.sleep(PACE)
    for store in stores.values():
        store.close()
    return measured("append a message: search on / off", spent, at_most(1.1))


def lines(folder: Path, few: int, many: int, rounds: int) -> Iterator[Measured]:
    """Fill what is compared, and measure it."""
    small, large = (open_store(folder / f"{count}.db", search=True) for count in (few, many))
    floor, other = Floor(folder / "floor.db", few), peer(folder / "peer.db", few)
    for store, count in ((small, few), (large, many)):
        fill(store, count)
        _say(f"{count:,} messages are indexed")

    def anyone(count: int) -> str:
        return data.user_name(random.randrange(max(count // EACH, 1)))

    def word() -> str:
        return random.choice(words(random.randrange(few)))

    def of_user(store: Store, count: int) -> Callable[[], Any]:
        return lambda: store.search_messages([SearchQuery(f"{word()} {word()}", user_id=anyone(count))])

    found = {"LIKE": lambda: floor.like(anyone(few), word()), "ours": of_user(small, few)}
    if other:
        found["openai-agents find_turns_by_content"] = lambda: other(anyone(few), word())
    bars = (Bar(times_slower, goal=1.5),)
    yield measured("find words in one user's talk", in_turns(found, rounds, 20), bars)
    everywhere: dict[str, Callable[[], Any]] = {
        "FTS5": lambda: floor.match([word(), word()]),
        "ours": lambda: small.search_messages([SearchQuery(f"{word()} {word()}")]),
    }
    yield measured("find words in all talk", in_turns(everywhere, rounds, 20), (Bar(times_slower, goal=2),))
    grown = {f"of {few:,}": of_user(small, few), f"of {many:,}": of_user(large, many)}
    yield measured(f"a user's words, {many:,} messages / {few:,}", in_turns(grown, rounds, 20), at_most(3))
    for opened in (small, large, floor):
        opened.close()


def main() -> None:
    """Measure, and print the table."""
    given = options.parse(options.parser(__doc__, SCALES), SCALES)
    random.seed(7)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        all_lines = [append_line(place, given.appends), *lines(place, given.few, given.many, given.rounds)]
    show(as_table(f"search on SQLite, scale {given.scale}", all_lines))
    write(given.json, all_lines, scale={name: getattr(given, name) for name in SCALES[given.scale]})


if __name__ == "__main__":
    main()
