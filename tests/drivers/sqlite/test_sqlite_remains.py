"""What goes wrong and what is said of it, what is forgotten, and what opening and closing leave behind."""

from __future__ import annotations

import gc
import sqlite3
import threading
import tracemalloc
from contextlib import closing

import attrs
import pytest

from whisper_persistence import (
    OutcomeQuery,
    PatternChange,
    PersistenceError,
    PreferencesChange,
    StatisticsChange,
    StorageRefusedError,
    StorageUnavailableError,
    Strategy,
    StrategyChange,
)
from whisper_persistence.testing import samples

from .stores import TALK, database, files, ids, opened, told, whole


def test_a_full_disk_is_an_outage_that_stores_nothing_of_the_batch_and_tells_nothing_of_it(path):
    secret = "a private word " * 5_000
    with opened(path) as store:
        store.save_messages(samples.talk(3))
        with database(store).writing() as writer:
            pages = writer.execute("PRAGMA page_count").fetchone()[0]
        with database(store)._writing:
            database(store)._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageUnavailableError, match="SQLITE_FULL") as caught:
            store.save_messages([samples.message(message_id=f"new {n}", content=secret) for n in range(20)])
        with database(store)._writing:
            database(store)._writer.execute("PRAGMA max_page_count = 1000000")

        assert "private" not in whole(caught.value)
        assert ids(store) == ["m0", "m1", "m2"]
        assert len(store.save_messages([samples.message(content=secret)])) == 1


def test_a_table_that_somebody_dropped_tells_no_private_word(path):
    with opened(path) as store:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE conversation_history")
        with pytest.raises(PersistenceError) as caught:
            store.save_messages([samples.message(content="a private word", user_id="private user")])

        assert "private" not in whole(caught.value)


def test_a_call_that_comes_after_closing_opens_nothing_anew(path, refused_after_closing):
    before = files()
    refused_after_closing(opened(path))

    assert files() == before


MARK = "MARKER-7f3a"
FIND = """
found = [path.name for path in Path(sys.argv[1]).iterdir() if sys.argv[2].encode() in path.read_bytes()]
print(*sorted(found))
"""


def test_no_byte_of_an_erased_user_is_left_in_any_file(path):
    user = f"{MARK}-user"
    with opened(path) as store:
        store.save_messages(samples.talk(50, user_id="somebody else"))
        for n in range(40):
            said = samples.message(f"{MARK}-talk", f"{MARK} words " * 100, user, message_id=f"{MARK} {n}")
            overheard = samples.message("talk", f"{MARK} words", "somebody else", message_id=f"{MARK} {n}")
            answer = samples.message("talk", f"{MARK} words", user, author_id="bot", role="assistant")
            store.save_messages([attrs.evolve(said, author_name=MARK), attrs.evolve(overheard, author_id=user), answer])
            outcome = samples.outcome(0.9, MARK, outcome_id=f"{MARK}{n}", user_response=MARK, context={MARK: MARK})
            store.update_strategies([StrategyChange(user, [outcome], change_id=f"{MARK} 1 {n}")])
            score = samples.score(f"{MARK}{n}", 0.5, user, score_explanation=MARK)
            store.update_statistics([StatisticsChange(user, [score], change_id=f"{MARK} 2 {n}")])
            store.update_patterns([PatternChange(user, f"{MARK}{n}", keywords=[MARK], change_id=f"{MARK} 3 {n}")])
            store.update_preferences([PreferencesChange(user, {MARK: n}, change_id=f"{MARK} 4 {n}")])

        assert told(FIND, path.parent, MARK)
        store.erase_users([user])
        assert told(FIND, path.parent, MARK) == ""
        assert len(ids(store)) == 50
    assert told(FIND, path.parent, MARK) == ""


@pytest.mark.parametrize("times", [30, pytest.param(970, marks=pytest.mark.long)])
def test_opening_and_closing_many_times_leaves_nothing_behind(path, times):
    def again(times: int) -> None:
        for _ in range(times):
            with opened(path) as store:
                store.load_messages([TALK])

    again(30)
    gc.collect()
    threads, count = set(threading.enumerate()), files()
    again(times)
    gc.collect()
    assert set(threading.enumerate()) <= threads  # what others left behind may have gone meanwhile
    assert files() <= count
    tracemalloc.start()
    try:
        again(20)
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0]
        again(40)
        gc.collect()

        assert tracemalloc.get_traced_memory()[0] - memory < 64_000
    finally:
        tracemalloc.stop()


def test_a_total_that_outgrows_a_database_is_refused_and_what_was_there_stays(path):
    full = Strategy("alice", "s", interventions=2**63 - 1)
    with opened(path) as store:
        store.save_strategies([full])
        with pytest.raises(StorageRefusedError, match="OverflowError"):
            store.update_strategies([StrategyChange("alice", [samples.outcome()])])

        assert store.load_strategies(["alice"])["alice"].interventions == full.interventions
        assert store.load_outcomes([OutcomeQuery("alice")]) == {}
