"""The rows of the failure matrix that are about a database of record on a network, against a real PostgreSQL."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from fault_tools.machine import Machine
from fault_tools.servers import Place
from fault_tools.stores import Opener, breakers, crash, drained, heal, late, leave_alone, net_of, until, waits
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import (
    Durability,
    MessageEdit,
    PreferencesChange,
    StorageUnavailableError,
    Store,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ClearMark, State
from whisper_persistence.testing import samples

TALK = Window("talk", 1_000)


def learn(store: Store, user: str = "alice") -> Durability:
    return store.update_strategies([StrategyChange(user, [samples.outcome(0.9)])])[0].durability


def say(store: Store, *ids: str, **others: Any) -> Durability:
    return store.save_messages([samples.message(message_id=one, **others) for one in ids])[0].durability


def said(store: Store, window: Window = TALK) -> list[str]:
    return [message.message_id for message in store.load_messages([window]).get(window, ())]


def learned(store: Store, user: str = "alice") -> int:
    return store.load_strategies([user])[user].interventions


def health(store: Store) -> Any:
    return store.check_health()[0]


def test_sql_down_at_start(opened: Opener, postgres_place: Place) -> None:
    postgres_place.proxy.refuse()
    store = opened.postgres(postgres_place.url)

    assert say(store, "a", "b") is Durability.JOURNALED
    assert learn(store) is Durability.JOURNALED
    assert [tier.state for tier in store.check_health()] == [State.DEGRADED, State.DOWN]
    with pytest.raises(StorageUnavailableError):
        store.load_preferences(["alice"])
    postgres_place.proxy.heal()
    drained(store)
    assert said(store) == ["a", "b"]
    assert learned(store) == 1
    assert [tier.state for tier in store.check_health()] == [State.UP, State.UP]
    assert learn(store) is Durability.DURABLE


def test_sql_down_in_use(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    for _ in range(3):
        learn(store)
    assert (said(store), learned(store)) == (["a"], 3)
    postgres_place.proxy.refuse()

    assert say(store, "b") is Durability.JOURNALED
    assert [learn(store) for _ in range(3)] == [Durability.JOURNALED] * 3
    assert (said(store), learned(store)) == (["a", "b"], 6)
    with pytest.raises(StorageUnavailableError):
        store.load_strategies(["nobody"])
    assert health(store).details["backlog"] == 4
    postgres_place.proxy.heal()
    drained(store)
    assert (said(store), learned(store)) == (["a", "b"], 6)
    assert health(store).details["replayed"] == 4


def test_sql_slow_or_silent(opened: Opener, postgres_place: Place, machine: Machine) -> None:
    store = opened.postgres(postgres_place.url, deadline=0.25)
    until(lambda: not waits(store) and learn(store) is Durability.DURABLE)  # else it queues behind its own
    drained(store)
    postgres_place.proxy.silent = True

    for _ in range(12):
        began = machine.clock()
        assert say(store, f"m{_}") is Durability.JOURNALED
        assert machine.clock() - began < 1.25
    postgres_place.proxy.heal()
    drained(store)
    assert said(store) == [f"m{_}" for _ in range(12)]


def test_a_frozen_server_is_left_alone_after_one_passed_deadline(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url, deadline=0.25)
    until(lambda: not waits(store) and learn(store) is Durability.DURABLE)  # else it queues behind its own
    drained(store)
    before = learned(store)
    leave_alone(store)
    postgres_place.server.freeze()
    try:
        learn(store)
        began = time.monotonic()
        durabilities = {learn(store) for _ in range(20)}
        assert durabilities == {Durability.JOURNALED}
        assert time.monotonic() - began < 20 * 0.25  # which it would be if each waited in vain
    finally:
        postgres_place.server.thaw()
    drained(store)
    assert learned(store) == before + 21


def test_who_only_reads_in_an_outage_is_answered_soon_after_it(
    opened: Opener, postgres_place: Place, machine: Machine
) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    leave_alone(store)
    postgres_place.proxy.refuse()
    for _ in range(3):
        with pytest.raises(StorageUnavailableError):
            said(store)
    assert breakers(store)[1].is_open()
    net_of(store)._relay.pause = 0.5  # as it is
    postgres_place.proxy.heal()
    back = machine.clock()
    until(lambda: not breakers(store)[1].is_open())

    assert machine.clock() - back < 2.0
    assert said(store) == ["a"]


def test_commit_done_reply_lost(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    learn(store)
    postgres_place.proxy.deaf = True

    assert say(store, "b") is Durability.JOURNALED
    assert learn(store) is Durability.JOURNALED
    postgres_place.proxy.heal()
    drained(store)
    assert (said(store), learned(store)) == (["a", "b"], 2)


@pytest.mark.parametrize("cut_after", [0, 7, 60])
def test_an_answer_cut_at_any_byte(opened: Opener, postgres_place: Place, cut_after: int) -> None:
    store = opened.postgres(postgres_place.url)
    learn(store)
    postgres_place.proxy.cut_after = cut_after

    for n in range(3):
        learn(store)
        say(store, f"m{n}")
    postgres_place.proxy.heal()
    drained(store)
    assert (said(store), learned(store)) == (["m0", "m1", "m2"], 4)


@pytest.mark.parametrize("missing", [1, 6, 7])
def test_a_write_is_acknowledged_by_a_whole_answer_alone(postgres_place: Place, missing: int) -> None:
    """PostgreSQL says that a statement is done, then commits, then says in the last six bytes that it is ready."""
    proxy, messages = postgres_place.proxy, [samples.message(message_id=f"m{n}") for n in range(5)]
    chain = Chain.of({"postgres": PostgresDriver(postgres_place.url)})
    with Store(chain, f"whole {os.getpid()} {missing}") as store:
        for message in messages[:4]:  # by then its statement is prepared
            proxy.cut_after = 10_000
            store.save_messages([message])
        proxy.cut_after = 10_000 - proxy.cut_after - missing
        with pytest.raises(StorageUnavailableError):
            store.save_messages([messages[4]])
        proxy.heal()
        store.save_messages([messages[4]])

        assert said(store) == ["m0", "m1", "m2", "m3", "m4"]


def test_half_closed_connections(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    learn(store)
    postgres_place.proxy.half_closed = True

    for n in range(3):
        say(store, f"m{n}")
    postgres_place.proxy.heal()
    drained(store)
    assert said(store) == ["m0", "m1", "m2"]


def test_killed_and_restarted_under_load(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "first")
    postgres_place.server.stop()
    try:
        for n in range(50):
            assert say(store, f"m{n}") is Durability.JOURNALED
    finally:
        postgres_place.server.start()
    drained(store)
    assert said(store) == ["first", *(f"m{n}" for n in range(50))]


def test_process_killed_in_an_outage_restarts_with_what_it_acknowledged(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    postgres_place.proxy.refuse()
    say(store, "b")
    learn(store)
    crash(store)
    again = opened.postgres(postgres_place.url)

    assert waits(again) == 2
    assert say(again, "c") is Durability.JOURNALED
    postgres_place.proxy.heal()
    drained(again)
    assert (said(again), learned(again)) == (["a", "b", "c"], 1)


def test_writes_of_a_user_queue_behind_those_that_wait(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    relay = net_of(store)._relay
    ready, relay.ready = relay.ready, lambda: False
    postgres_place.proxy.refuse()
    say(store, "b")
    postgres_place.proxy.heal()
    heal(store)

    assert say(store, "c") is Durability.JOURNALED
    assert say(store, "other", conversation_id="elsewhere", user_id="bob", author_id="bob") is Durability.DURABLE
    relay.ready = ready
    drained(store)
    assert said(store) == ["a", "b", "c"]


def test_edits_and_clear_marks_are_folded_and_replayed(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a", "b")
    said(store)
    postgres_place.proxy.refuse()
    say(store, "c")
    store.update_messages([MessageEdit("talk", "c", "changed"), MessageEdit("talk", "a", "mended")])

    def words() -> list[str]:
        return [message.content for message in store.load_messages([TALK]).get(TALK, ())]

    before = words()
    assert (before[0], before[-1]) == ("mended", "changed")
    store.update_messages([ClearMark("talk")])
    assert words() == []
    say(store, "d")
    after = words()
    postgres_place.proxy.heal()
    drained(store)
    assert words() == after
    assert len(after) == 1


def test_erase_while_sql_is_down(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    say(store, "of bob", user_id="bob", author_id="bob")
    learn(store)
    said(store)
    postgres_place.proxy.refuse()
    say(store, "b")
    (report,) = store.erase_users(["alice"])

    assert "accepted" in report.remaining[0]
    assert said(store) == ["of bob"]
    assert store.load_strategies(["alice"]) == {}
    say(store, "after")
    assert said(store) == ["of bob", "after"]
    postgres_place.proxy.heal()
    drained(store)
    assert said(store) == ["of bob", "after"]
    assert store.load_strategies(["alice"]) == {}


def test_erase_races_a_journaled_write(opened: Opener, postgres_place: Place) -> None:
    other = opened.postgres(postgres_place.straight)
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    postgres_place.proxy.refuse()
    say(store, "written before the erase")
    learn(store)
    other.erase_users(["alice"])
    say(other, "after")
    postgres_place.proxy.heal()
    drained(store)

    assert said(store) == ["after"]
    assert store.load_strategies(["alice"]) == {}


def test_a_late_call_does_not_bring_back_whom_another_process_erased(opened: Opener, postgres_place: Place) -> None:
    other = opened.postgres(postgres_place.straight)
    store = opened.postgres(postgres_place.url, deadline=0.25)
    until(
        lambda: (
            not waits(store) and learn(store, "bob") is learn(store, "carol") is say(store, "a") is Durability.DURABLE
        )
    )
    drained(store)
    postgres_place.proxy.silent = True
    for write in (
        lambda: say(store, "late"),
        lambda: learn(store, "bob"),
        lambda: store.save_strategies([Strategy("carol", "late")]),
    ):
        heal(store)
        write()
    before = late(store)
    other.erase_users(["alice", "bob", "carol"])
    say(other, "after", user_id="dave", author_id="dave")
    postgres_place.proxy.heal()
    until(lambda: not late(store))
    drained(store)

    assert before == 3
    assert said(store) == ["after"]
    assert store.load_strategies(["alice", "bob", "carol"]) == {}
    learn(store, "bob")
    drained(store)
    assert learned(store, "bob") == 1


def test_who_writes_after_an_erase_by_another_process_writes(opened: Opener, postgres_place: Place) -> None:
    other, store = (opened.postgres(postgres_place.straight) for _ in range(2))
    say(store, "a")
    learn(store)
    for n in range(3):
        other.erase_users(["alice"])
        assert say(store, f"after {n}") is Durability.DURABLE
        other.erase_users(["alice"])
        assert learn(store) is Durability.DURABLE
        assert (said(store), learned(store)) == ([], 1)


def test_own_writes_after_an_own_erase_are_kept(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    learn(store)
    store.erase_users(["alice"])
    postgres_place.proxy.refuse()
    learn(store)
    postgres_place.proxy.heal()
    drained(store)

    assert learned(store) == 1


def test_two_bots_write_one_key_one_offline(opened: Opener, postgres_place: Place) -> None:
    other = opened.postgres(postgres_place.straight)
    store = opened.postgres(postgres_place.url)
    store.save_strategies([Strategy("alice", "first")])
    postgres_place.proxy.refuse()
    store.save_strategies([Strategy("alice", "offline")])
    store.save_strategies([Strategy("alice", "offline too")])
    other.save_strategies([Strategy("alice", "newer")])
    postgres_place.proxy.heal()
    drained(store)

    assert store.load_strategies(["alice"])["alice"].strategy_id == "newer"
    assert health(store).details["conflicts"] == 2


def test_own_writes_before_a_save_are_no_conflict(opened: Opener, postgres_place: Place) -> None:
    store = opened.postgres(postgres_place.url)
    learn(store)
    postgres_place.proxy.refuse()
    learn(store)
    store.save_strategies([Strategy("alice", "offline")])
    store.save_strategies([Strategy("alice", "last")])
    store.update_preferences([PreferencesChange("alice", {"quiet": True})])
    postgres_place.proxy.heal()
    drained(store)

    assert store.load_strategies(["alice"])["alice"].strategy_id == "last"
    assert health(store).details["conflicts"] == 0


def test_a_read_right_after_a_replay_is_not_older_than_what_was_acknowledged(
    opened: Opener, postgres_place: Place
) -> None:
    store = opened.postgres(postgres_place.url)
    say(store, "a")
    said(store)
    postgres_place.proxy.refuse()
    say(store, "b")
    backlog = net_of(store)._backlog
    done, seen = backlog.done, list[list[str]]()

    def done_and_down_again(*arguments: Any) -> None:
        done(*arguments)
        postgres_place.proxy.refuse()
        try:
            seen.append(said(store))
        except StorageUnavailableError:
            seen.append(["unknown"])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(backlog), "done", lambda _, *arguments: done_and_down_again(*arguments))
        postgres_place.proxy.heal()
        until(lambda: seen)

    assert seen[0] != ["a"]
