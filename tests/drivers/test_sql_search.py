"""What the SQL drivers promise of search beyond the suite: equal answers, no readable word, and nothing lost."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.sql import gathering, indexer, search_hooks, searching, unindexed
from whisper_persistence_drivers.sql.text_index import Scope

from whisper_persistence import ClearMark, MessageEdit, MessageRedaction, NotSupportedError, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations.reindexing import reindex, wait_for_indexes
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, SearchQuery
from whisper_persistence.testing import samples
from whisper_persistence.testing.servers import new_postgres_database

WORDS = [
    f"{first}{second}ing" for first in ("glo", "bra", "stu", "kel", "mon") for second in ("b", "d", "nk", "rt", "zz")
]


def opened(path: Path, **options: Any) -> Store:
    return opened_at("sqlite", path=path / "memory.db", **options)


def opened_at(name: str, **options: Any) -> Store:
    return Store(Chain.build([DriverSpec(name, {"search": True, **options})]))


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


def test_sqlite_and_postgres_by_index_or_by_reading_all_give_the_same_hits_and_parts(
    tmp_path, postgres_url, monkeypatch
):
    talk = some_talk(600, 3)
    queries = [
        SearchQuery(f"{one} {other} unknown", user_id=user, author_id=author, limit=50)
        for one, other in zip(WORDS[::3], WORDS[1::3], strict=False)
        for user in (None, "user 1")
        for author in (None, "bot")
    ]
    found = []
    for name, place in (("sqlite", {"path": tmp_path / "memory.db"}), ("postgres", {"url": postgres_url})):
        with opened_at(name, **place) as store:
            save(store, talk[:400])
            wait_for_indexes(store, 60.0)
            save(store, talk[400:])
            for few in (-1, 1_000):
                monkeypatch.setattr(searching, "FEW", few)
                results = store.search_messages(queries)
                found.append(
                    [[(hit.message.message_id, hit.parts["text"]) for hit in results[q].hits] for q in queries]
                )
    first, *others = found

    assert sum(map(len, first)) > 500
    for ours, theirs in (pair for other in others for pair in zip(first, other, strict=True)):
        assert [message_id for message_id, _ in ours] == [message_id for message_id, _ in theirs]
        assert [part for _, part in ours] == pytest.approx([part for _, part in theirs], abs=1e-9)


def all_pages(store: Store, query: SearchQuery) -> list[tuple[str, float]]:
    """Return the id and the text part of every hit, page after page."""
    found: list[tuple[str, float]] = []
    while True:
        result = store.search_messages([query])[query]
        found += [(hit.message.message_id, hit.parts["text"]) for hit in result.hits]
        if result.cursor is None:
            return found
        query = attrs.evolve(query, cursor=result.cursor)


@pytest.mark.parametrize("name", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_where_too_many_match_those_with_the_rarest_words_are_ranked_as_all_would_be(
    tmp_path, request, monkeypatch, name
):
    place = {"path": tmp_path / "memory.db"} if name == "sqlite" else {"url": request.getfixturevalue("postgres_url")}
    monkeypatch.setattr(searching, "FEW", -1)
    rare = {n: " ".join(["heron"] * (n // 60 + 1)) for n in range(7, 300, 20)}
    talk = [
        samples.message(
            f"talk {n % 2}",
            f"{rare.get(n, '')} " + "common " * (9 - len(rare.get(n, "").split())),
            "alice",
            author_id=("alice", "bot")[n % 3 == 0],
            message_id=f"m{n}",
            timestamp=samples.MOMENT + timedelta(days=n),  # each a session of its own, so that lengths are the same
        )
        for n in range(300)
    ]
    queries = [
        SearchQuery("common heron", user_id="alice", limit=4, **filters)
        for filters in (
            {},
            {"author_id": "bot"},
            {"conversation_id": "talk 1", "since": talk[100].timestamp},
            {"until": talk[88].timestamp},
            {"since": talk[27].timestamp, "until": talk[28].timestamp},
        )
    ]
    with opened_at(name, **place) as store:
        save(store, talk)
        wait_for_indexes(store, 120.0)
        exact = [all_pages(store, attrs.evolve(query, limit=300)) for query in queries]
        monkeypatch.setattr(searching, "_MOST_MATCHES", 30)
        limited = [all_pages(store, query) for query in queries]
        nothing_rare = all_pages(store, SearchQuery("common", user_id="alice"))
        said = samples.message("talk 0", "a heron", "alice", message_id="late", timestamp=talk[-1].timestamp)
        store.save_messages([said])
        late = ids(store, "common heron", user_id="alice", since=said.timestamp)

    assert [len(found) for found in limited] == [15, 5, 10, 5, 1]
    for ours, theirs in zip(limited, exact, strict=True):
        assert [message_id for message_id, _ in ours] == [message_id for message_id, _ in theirs[: len(ours)]]
        assert [part for _, part in ours] == pytest.approx([part for _, part in theirs[: len(ours)]], abs=1e-9)
        assert {message_id for message_id, _ in theirs[len(ours) :]}.isdisjoint(f"m{n}" for n in rare)
    assert len(nothing_rare) == 30
    assert "late" in late


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_a_word_that_only_what_is_not_indexed_yet_has_is_found(tmp_path, request, monkeypatch, name):
    place = {"path": tmp_path / "memory.db"} if name == "sqlite" else {"url": request.getfixturevalue("postgres_url")}
    monkeypatch.setattr(searching, "FEW", -1)
    monkeypatch.setattr(searching, "_MOST_MATCHES", 30)
    with opened_at(name, **place) as store:
        save(store, [samples.message("talk", "common", "alice", message_id=f"m{n}") for n in range(50)])
        wait_for_indexes(store, 120.0)
        monkeypatch.setattr(indexer.Indexer, "wake", lambda _: None)
        for n in range(3):
            store.save_messages([samples.message("talk", f"heron{n * 'n'}", "alice", message_id=f"late {n}")])

            assert ids(store, f"common heron{n * 'n'}", user_id="alice")[0] == f"late {n}"


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_what_is_asked_among_others_than_a_query_may_show_finds_the_rest(tmp_path, request, monkeypatch, name):
    place = {"path": tmp_path / "memory.db"} if name == "sqlite" else {"url": request.getfixturevalue("postgres_url")}
    monkeypatch.setattr(searching, "FEW", -1)
    with opened_at(name, **place) as store:
        save(store, [samples.message("talk", "hello", "alice", message_id=f"m{n}") for n in range(5)])
        save(store, [samples.message("talk", "a zebra", "bob", author_id="bob", message_id="z")])
        wait_for_indexes(store, 120.0)

        assert ids(store, "zebra", user_id="alice", among=(("talk", "z"), ("talk", "m3"))) == ["m3"]


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


def places(store: Store, name: str) -> dict[str, list[int]]:
    """Return where the messages of each conversation are among each other, by the index, in their order."""
    rows = store.chain.drivers[name]._read(gathering.read_terms, Scope(), 1_000)
    found: dict[str, list[int]] = {}
    for row in sorted(rows, key=lambda row: row.sequence):
        found.setdefault(row.conversation_id, []).append(row.place)
    return found


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_two_stores_that_index_the_same_messages_index_each_once_and_in_its_place(
    tmp_path, postgres_url, monkeypatch, name
):
    monkeypatch.setattr(indexer, "_GATHERING", 0.0)
    monkeypatch.setattr(search_hooks, "_BATCH", 8)
    place = {"path": tmp_path / "memory.db"} if name == "sqlite" else {"url": postgres_url}
    talk = some_talk(400, 4)
    with opened_at(name, **place) as one, opened_at(name, **place) as other:
        for start in range(0, 400, 20):
            (one if start % 40 else other).save_messages(talk[start : start + 20])
        for store in (one, other):
            wait_for_indexes(store, 120.0)
        expected = {message.message_id for message in talk if message.user_id == "user 1"}
        text = " ".join(WORDS)

        assert set(ids(one, text, user_id="user 1", limit=200)) == expected
        assert ids(other, text, user_id="user 1", limit=200) == ids(one, text, user_id="user 1", limit=200)
        counted = gathering.count_terms
        assert one.chain.drivers[name]._read(counted, Scope(), 1_000) == 400
        assert [store.check_health()[0].details["search_failures"] for store in (one, other)] == [0, 0]
        assert places(one, name) == {f"talk {n}": list(range(100)) for n in range(4)}

        reindex(one)
        wait_for_indexes(one, 120.0)

        assert places(one, name) == {f"talk {n}": list(range(100)) for n in range(4)}


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_without_an_index_the_newest_messages_of_a_user_are_looked_at_and_the_answer_says_so(
    tmp_path, postgres_url, monkeypatch, name
):
    monkeypatch.setattr(unindexed, "MOST", 20)
    place = {"path": tmp_path / "memory.db"} if name == "sqlite" else {"url": postgres_url}
    early, later = samples.MOMENT, samples.MOMENT + timedelta(days=1)
    with opened_at(name, search=None, **place) as store:
        said = (Message(f"t{n % 2}", "alice", "alice", f"lighthouse {n}", "user", f"m{n}", early) for n in range(19))
        save(store, list(said))
        save(store, [samples.message("u", "a lighthouse", "bob"), samples.message("u", "", "alice", message_id="no")])
        store.update_messages([MessageRedaction("t0", "m0"), ClearMark("t1", 3)])
        few = store.search_messages([query := SearchQuery("lighthouses", user_id="alice", limit=50, context=1)])[query]
        save(store, [samples.message("t0", f"rain {n}", "alice", timestamp=later) for n in range(20)])
        many = store.search_messages([query])[query]
        old = SearchQuery("lighthouses", user_id="alice", among=[("t0", "m2"), ("u", "elsewhere")])

        assert {hit.message.message_id for hit in few.hits} == {f"m{n}" for n in range(1, 19)} - {"m1", "m3", "m5"}
        assert (few.answered, few.silent, many.hits) == (("text by scan",), (), ())
        assert (many.answered, many.silent) == (("text by scan",), ("text by index",))
        assert [hit.message.message_id for hit in store.search_messages([old])[old].hits] == ["m2"]
        assert ids(store, "rain", conversation_id="t0") != []
        with pytest.raises(NotSupportedError, match="search = true"):
            ids(store, "lighthouse")


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


def p50(stores: dict[int, Store]) -> dict[int, float]:
    """Return the median seconds of a search within one user of each store; they take turns, whatever else runs."""
    spent: dict[int, list[float]] = {count: [] for count in stores}
    for n in range(101):
        for count in list(stores)[:: 1 if n % 2 else -1]:
            query = SearchQuery(" ".join(WORDS[-1 - n % 5 :]), user_id=f"user {n * 7_919 % (count // 20)}")
            began = time.perf_counter()
            assert stores[count].search_messages([query])[query].hits
            spent[count].append(time.perf_counter() - began)
    return {count: sorted(seconds)[50] for count, seconds in spent.items()}


def check_many(place: Callable[[int], dict[str, Any]], name: str, large: int) -> None:
    """Compare a search within a user among many messages and among a hundredth of them; the index catches up."""
    small = min(large // 10, 10_000)
    with ExitStack() as opened:
        stores = {count: opened.enter_context(opened_at(name, **place(count))) for count in (small, large)}
        for count, store in stores.items():
            save(store, some_talk(count, count // 20))
            behind, began = store.check_health()[0].details["search_lag"], time.monotonic()
            wait_for_indexes(store, 3_600.0)
            print(f"\n{name}, {count:,}: {behind:,} waited for {time.monotonic() - began:.1f} s")  # noqa: T201
        spent = p50(stores)
    print(f"\n{name}, p50: {' and '.join(f'{seconds * 1e3:.2f} ms' for seconds in spent.values())}")  # noqa: T201

    assert spent[large] < 3 * spent[small], spent


@pytest.mark.parametrize("large", [2_500, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_a_search_within_a_user_is_hardly_slower_among_many_more_messages(tmp_path, large):
    check_many(lambda count: {"path": tmp_path / f"{count}.db", "synchronous": "normal"}, "sqlite", large)


@pytest.mark.long
def test_a_search_within_a_user_is_hardly_slower_among_many_more_messages_on_postgres(postgres_server):
    with ExitStack() as databases:
        urls = {n: databases.enter_context(new_postgres_database(postgres_server)) for n in (10_000, 1_000_000)}
        patient = dict.fromkeys(("pool_timeout", "lock_timeout", "statement_timeout"), 60.0)
        check_many(lambda count: {"url": urls[count], **patient}, "postgres", 1_000_000)
