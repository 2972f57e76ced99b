"""What the SQL drivers promise of search beyond the suite: equal answers, no readable word, and nothing lost."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from whisper_persistence import MessageEdit, MessageRedaction, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations.reindexing import reindex, wait_for_indexes
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, SearchQuery
from whisper_persistence.testing import samples

WORDS = [
    f"{first}{second}ing" for first in ("glo", "bra", "stu", "kel", "mon") for second in ("b", "d", "nk", "rt", "zz")
]


def opened(path: Path, name: str = "sqlite", namespace: str = "default", **options: Any) -> Store:
    place = {"path": path / "memory.db"} if name == "sqlite" else {"url": str(options.pop("url"))}
    return Store(Chain.build([DriverSpec(name, {**place, "search": True, **options})]), namespace)


def some_talk(count: int, users: int, seed: int = 7) -> list[Message]:
    chance = random.Random(seed)
    return [
        samples.message(
            f"talk {n % users}",
            " ".join(chance.choices(WORDS, range(1, len(WORDS) + 1), k=8)),
            f"user {n % users}",
            author_id=chance.choice(["bot", f"user {n % users}"]),
            message_id=f"m{n}",
            timestamp=samples.MOMENT,
        )
        for n in range(count)
    ]


def save(store: Store, messages: list[Message]) -> None:
    for start in range(0, len(messages), 1_000):
        store.save_messages(messages[start : start + 1_000])


def ids(store: Store, text: str, **filters: Any) -> list[str]:
    query = SearchQuery(text, **filters)
    return [hit.message.message_id for hit in store.search_messages([query])[query].hits]


def test_sqlite_and_postgres_give_the_same_hits_and_parts(tmp_path, postgres_url):
    talk = some_talk(600, 3)
    queries = [
        SearchQuery(f"{one} {other} unknown", user_id=user, author_id=author, limit=50)
        for one, other in zip(WORDS[::3], WORDS[1::3], strict=False)
        for user in (None, "user 1")
        for author in (None, "bot")
    ]
    found = []
    for name, options in (("sqlite", {}), ("postgres", {"url": postgres_url})):
        with opened(tmp_path, name, **options) as store:
            save(store, talk[:400])
            wait_for_indexes(store, 60.0)
            save(store, talk[400:])
            results = store.search_messages(queries)
            found.append([[(hit.message.message_id, hit.parts["text"]) for hit in results[q].hits] for q in queries])

    assert sum(map(len, found[0])) > 500
    for ours, theirs in zip(*found, strict=True):
        assert [message_id for message_id, _ in ours] == [message_id for message_id, _ in theirs]
        assert [part for _, part in ours] == pytest.approx([part for _, part in theirs], abs=1e-9)


def bytes_of(path: Path) -> bytes:
    """Return all files' bytes; read by another process, since closing a file here would drop SQLite's locks on it."""
    command = (
        "import sys, pathlib; [sys.stdout.buffer.write(p.read_bytes()) for p in pathlib.Path(sys.argv[1]).iterdir()]"
    )
    return subprocess.run([sys.executable, "-c", command, str(path)], capture_output=True, check=True).stdout  # noqa: S603


def test_no_word_stands_in_the_index_and_none_is_left_after_an_erase(tmp_path):
    word = "zyxmarker"
    with opened(tmp_path) as store:
        save(
            store, [samples.message("t", f"{word}s are {n} of {word}", "alice", message_id=f"m{n}") for n in range(50)]
        )
        save(store, [samples.message("u", "something else", "bob")])
        store.update_messages([MessageRedaction("t", "m0"), MessageEdit("t", "m1", f"{word} again")])
        wait_for_indexes(store, 60.0)
        with closing(sqlite3.connect(tmp_path / "memory.db")) as connection:
            rows = connection.execute("SELECT * FROM message_terms").fetchall()
        assert len(rows) == 50
        assert word not in repr(rows)
        assert len(ids(store, word, limit=100)) == 49
        assert word.encode() in bytes_of(tmp_path)

        store.erase_users(["alice"])

        assert word.encode() not in bytes_of(tmp_path)
        assert ids(store, word) == []
        assert ids(store, "something") != []
    assert word.encode() not in bytes_of(tmp_path)


def tables(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path / "memory.db")) as connection:
        names = ("conversation_history", "message_terms", "message_words_docsize", "outbox")
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}  # noqa: S608


def test_what_goes_from_the_history_goes_from_the_index_with_it(tmp_path):
    with opened(tmp_path) as store:
        save(store, some_talk(100, 4))
        wait_for_indexes(store, 60.0)
        assert tables(tmp_path) == {
            "conversation_history": 100,
            "message_terms": 100,
            "message_words_docsize": 100,
            "outbox": 0,
        }

        store.erase_users(["user 2"])

        assert tables(tmp_path) | {"outbox": 0} == {
            "conversation_history": 75,
            "message_terms": 75,
            "message_words_docsize": 75,
            "outbox": 0,
        }


def test_switching_search_on_later_finds_what_was_there_before(tmp_path):
    with opened(tmp_path, search=False) as store:
        save(store, some_talk(30, 1))
        save(store, [samples.message("t", "lighthouse", message_id="old")])
    with opened(tmp_path) as store:
        assert ids(store, "lighthouse") == ["old"]
        wait_for_indexes(store, 60.0)
        assert ids(store, "lighthouse") == ["old"]
        assert reindex(store) == ["sqlite"]
        assert ids(store, "lighthouse") == ["old"]
        wait_for_indexes(store, 60.0)
    assert tables(tmp_path)["message_terms"] == 31


def p50(store: Store, users: int) -> float:
    """Return the median seconds of a search within one user."""
    spent: list[float] = []
    for n in range(41):
        query = SearchQuery(" ".join(WORDS[-1 - n % 5 :]), user_id=f"user {n * 7 % users}")
        began = time.perf_counter()
        assert store.search_messages([query])[query].hits
        spent.append(time.perf_counter() - began)
    return sorted(spent)[20]


@pytest.mark.parametrize("large", [2_500, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_a_search_within_a_user_is_hardly_slower_among_many_more_messages(tmp_path, large):
    small = min(large // 10, 10_000)
    spent = []
    for count in (small, large):
        folder = tmp_path / str(count)
        folder.mkdir()
        with opened(folder, synchronous="normal") as store:
            save(store, some_talk(count, count // 20))
            wait_for_indexes(store, 3_600.0)
            spent.append(p50(store, count // 20))

    assert spent[1] < 3 * spent[0], spent
