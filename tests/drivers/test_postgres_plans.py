"""How the server goes about our statements, as it prepared them, on tables of some size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import MemoryScore, OutcomeQuery, ScoreQuery, StatisticsChange, Store, StrategyChange, Window
from whisper_persistence.codec import encode
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Thing
from whisper_persistence.testing import samples
from whisper_persistence.testing.servers import new_postgres_database

#: What a namespace is filled with: users, each with a conversation; then messages, outcomes and scores of each user.
FILLING = """
INSERT INTO {schema}.user_emotional_profiles (namespace, user_id, created_at)
    SELECT %(namespace)s, 'user ' || u, 0 FROM generate_series(1, %(users)s) u;
INSERT INTO {schema}.revisions
    SELECT md5(%(namespace)s || n), 1, 0, 1, 0 FROM generate_series(1, 2 * %(users)s) n;
INSERT INTO {schema}.user_support_strategies
    SELECT %(namespace)s, 'user ' || u, %(strategy)s FROM generate_series(1, %(users)s) u;
INSERT INTO {schema}.user_memory_statistics
    SELECT %(namespace)s, 'user ' || u, 0, '{{}}' FROM generate_series(1, %(users)s) u;
INSERT INTO {schema}.conversation_history
    SELECT %(namespace)s, 'talk ' || u, n, n::text, 'user ' || u, NULL, %(message)s
    FROM generate_series(1, %(messages)s) n, generate_series(1, %(users)s) u;
INSERT INTO {schema}.support_strategy_history
    SELECT %(namespace)s, 'user ' || u, n, n::text, '', 0, 0, %(outcome)s
    FROM generate_series(1, %(rows)s) n, generate_series(1, %(users)s) u;
INSERT INTO {schema}.memory_importance_scores
    SELECT %(namespace)s, 'user ' || u, n::text, n * 1000, n, %(score)s
    FROM generate_series(1, %(rows)s) n, generate_series(1, %(users)s) u;
"""


def fill(url: str, namespace: str, users: int, messages: int, rows: int = 5) -> None:
    """Fill a namespace with that many users, and messages and other rows of each."""
    records = {
        "message": encode(samples.message(message_id="m", in_reply_to="nothing")),
        "strategy": encode(samples.full_strategy()),
        "outcome": encode(samples.outcome()),
        "score": encode(samples.score("m", 0.5)),
    }
    values = {"namespace": namespace, "users": users, "messages": messages, "rows": rows, **records}
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("SET session_replication_role = replica")  # whose rows need no check
        connection.execute(FILLING.format(schema="whisper_persistence").encode(), values)
        connection.execute("VACUUM ANALYZE")


@pytest.fixture(scope="module")
def filled_url(postgres_server: str) -> Iterator[str]:
    """A database of 2,000 users and 200,000 messages in two namespaces, and one of 2,000 messages."""
    with new_postgres_database(postgres_server) as url:
        Store(Chain.of({"postgres": PostgresDriver(url)})).close()
        fill(url, "other", 1_000, 100)
        fill(url, "small", 20, 100)
        fill(url, "large", 1_000, 100)
        yield url


def plans(store: Store, use: Callable[[], Any]) -> dict[str, Any]:
    """Return the plans of the statements that the server has prepared, once they were used often enough for that."""
    for _ in range(7):
        use()
    driver: Any = store.chain.drivers["postgres"]
    with driver._database.reading() as connection:
        prepared = connection.execute(
            "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements"
        )
        found = {}
        for name, statement, count in prepared.fetchall():
            arguments = f"({', '.join(['NULL'] * count)})" if count else ""
            (plan,) = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name}{arguments}").fetchall()[0]
            found[statement] = plan[0]["Plan"]
        return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def looked_up(plan: dict[str, Any]) -> set[str]:
    """Return the tables that a plan reads, each by looking keys up in an index, and sorts nothing of."""
    for node in nodes(plan):
        kind = node["Node Type"]
        assert kind not in {"Seq Scan", "Sort", "Incremental Sort"}, node
        assert "Index Cond" in node or kind not in {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}, node
    return {node["Relation Name"] for node in nodes(plan) if "Relation Name" in node}


def test_the_newest_messages_of_a_conversation(filled_url, opened):
    store = opened(filled_url, "large", pool_size=1)
    found = plans(store, lambda: store.load_messages([Window("talk 7", 20)]))

    assert len(store.load_messages([Window("talk 7", 20)])[Window("talk 7", 20)]) == 20
    window, *question = [plan for statement, plan in found.items() if "conversation_history" in statement]
    assert looked_up(window) == {"conversation_history", "revisions"}
    assert [looked_up(plan) for plan in question] == [{"conversation_history", "revisions"}]


WINDOWS = [
    Window("talk 7", 20),
    Window("talk 7", 20, before=50),
    Window("talk 7", 20, after=50),
    Window("talk 7", 20, user_id="user 7"),
    Window("talk 7", 20, after=50, user_id="user 7"),
]


@pytest.mark.parametrize("window", WINDOWS, ids=repr)
@pytest.mark.parametrize("batch", [1, 50])
def test_every_window(filled_url, opened, window, batch):
    store = opened(filled_url, "large", pool_size=1)
    windows = [window, *(Window(f"talk {n}", 20) for n in range(8, 7 + batch))]
    found = plans(store, lambda: store.load_messages(windows))

    pages = store.load_messages(windows)
    assert [len(pages[wanted]) for wanted in windows] == [20] * batch
    for statement, plan in found.items():
        assert looked_up(plan) == {"conversation_history", "revisions"}, statement


SCORE = MemoryScore("user 7", "4", 4e-6, sequence=4)
READING: dict[str, tuple[Callable[[Store], Any], set[str]]] = {
    "strategies": (lambda s: s.load_strategies([f"user {n}" for n in range(20)]), {"user_support_strategies"}),
    "outcomes": (lambda s: s.load_outcomes([OutcomeQuery("user 7", 3, 5)]), {"support_strategy_history"}),
    "top": (lambda s: s.load_scores([ScoreQuery("user 7", "top", 3, SCORE)]), {"memory_importance_scores"}),
    "recent": (lambda s: s.load_scores([ScoreQuery("user 7", "recent", 3, SCORE)]), {"memory_importance_scores"}),
    "revisions": (lambda s: s.load_revisions([Thing("user", f"user {n}") for n in range(5)]), {"revisions"}),
    "first page": (lambda s: s.scan("messages", None, 20), {"conversation_history"}),
}


@pytest.mark.parametrize("name", READING)
def test_what_is_read_of_a_user(filled_url, opened, name):
    store = opened(filled_url, "large", pool_size=1)
    use, tables = READING[name]
    found = plans(store, lambda: use(store))

    assert name == "revisions" or use(store)
    assert found
    for statement, plan in found.items():
        assert looked_up(plan) == tables, statement


def test_writing_looks_up_what_it_needs(filled_url, opened):
    store = opened(filled_url, "writing", pool_size=1)

    def use() -> None:
        store.save_messages([samples.message("talk 7", user_id="user 7")])
        store.update_strategies([StrategyChange("user 7", [samples.outcome(0.9)])])
        store.update_statistics([StatisticsChange("user 7", [MemoryScore("user 7", "m", 0.5)])])

    found = plans(store, use)
    large = {"conversation_history", "support_strategy_history", "memory_importance_scores", "user_support_strategies"}

    assert len(found) > 8
    for statement, plan in found.items():
        read = [node for node in nodes(plan) if node.get("Relation Name") in large and "Scan" in node["Node Type"]]
        assert not [node for node in read if node["Node Type"] == "Seq Scan"], statement


def seconds(use: Callable[[], Any], times: int = 200) -> float:
    """Return how long a call usually takes, which what else the machine does cannot make shorter."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        use()
        taken.append(time.perf_counter() - began)
    return min(statistics.median(taken[n : n + 20]) for n in range(0, times, 20))


def reading(store: Store, users: int) -> Callable[[], Any]:
    """Return a function that reads of one user after the other, as scattered as users are."""
    turn = iter(range(1_000_000_000))

    def read() -> None:
        user = next(turn) * 7_919 % users + 1
        window = Window(f"talk {user}", 20)
        assert len(store.load_messages([window])[window]) == 20
        assert store.load_strategies([f"user {user}"])

    return read


def test_reading_takes_as_long_in_a_large_store_as_in_a_small_one(filled_url, opened):
    small = reading(opened(filled_url, "small"), 20)
    large = reading(opened(filled_url, "large"), 1_000)
    seconds(small), seconds(large)

    # What else the machine does lengthens one or the other; a lookup that grew would lengthen all five.
    assert min(seconds(large) / seconds(small) for _ in range(5)) < 2


@pytest.mark.long
def test_two_million_messages_of_a_hundred_thousand_users(postgres_url, opened):
    small, large = opened(postgres_url, "small"), opened(postgres_url, "large", pool_size=1)
    fill(postgres_url, "small", 1_000, 20)
    fill(postgres_url, "large", 100_000, 20)
    found = plans(large, reading(large, 100_000))
    quick, slow = reading(small, 1_000), reading(large, 100_000)
    seconds(quick, 1_000), seconds(slow, 1_000)

    assert {table for plan in found.values() for table in looked_up(plan)} == {
        "conversation_history",
        "revisions",
        "user_support_strategies",
    }
    assert seconds(slow, 1_000) < 2 * seconds(quick, 1_000)
