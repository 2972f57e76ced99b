"""Whole records go out in one statement, and what comes of it is what comes of saving step by step."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from whisper_persistence import (
    MemoryScore,
    Pattern,
    Preferences,
    Receipt,
    Statistics,
    StatisticsChange,
    Store,
    Strategy,
    StrategyChange,
)
from whisper_persistence.records import Follower, Thing
from whisper_persistence.testing import samples

USERS = ("alice", "bob", "carol \u00fc\U0001f600", "d" * 512)
KINDS = ("strategies", "statistics", "patterns", "preferences")
MAKE: dict[str, Callable[[str, random.Random], Any]] = {
    "strategies": lambda user, odds: Strategy(user, f"s {odds.random()}", effectiveness_sum=odds.randrange(9)),
    "statistics": lambda user, odds: Statistics(user, extra={"n": odds.random()}),
    "patterns": lambda user, odds: Pattern(user, odds.choice("pqr"), str(odds.random())),
    "preferences": lambda user, odds: Preferences(user, {"n": odds.random(), "quote": "'\\\"{}NULL"}),
}


def driver(store: Store) -> Any:
    return store.chain.drivers["postgres"]


def save(store: Store, kind: str, records: list[Any]) -> list[Receipt]:
    return list(getattr(store, f"save_{kind}")(records))


def told(receipts: list[Receipt]) -> list[Any]:
    return [(one, one.repeated, one.erasures) for one in receipts]


def prepared(store: Store) -> Store:
    """Return a store that knows the users, each with a scored memory, and that a follower wants to hear of."""
    store.register_follower(Follower("f", KINDS))
    scores = [MemoryScore(user, "m", 0.5, calculation_timestamp=samples.MOMENT) for user in USERS]
    store.update_statistics([StatisticsChange(one.user_id, [one], timestamp=samples.MOMENT) for one in scores])
    store.clear_pending(store.load_pending("f", 100))
    return store


def held(store: Store, kind: str) -> tuple[Any, dict[tuple[str, str], int]]:
    pending = store.load_pending("f", 1_000)
    scanned = store.scan(kind, None, 1_000).records
    return scanned, {(one.thing_id, one.item): one.revision for one in pending if one.kind == kind}


@pytest.mark.parametrize("kind", KINDS)
def test_one_statement_does_what_several_do(opened, kind):
    whole, steps = (
        prepared(opened(namespace=f"whole {kind}")),
        prepared(opened(namespace=f"steps {kind}")),
    )
    odds = random.Random(kind)
    for _ in range(12):
        some = odds.sample(USERS, odds.randint(1, len(USERS)))
        batch = [MAKE[kind](odds.choice(some), odds) for _ in range(odds.randint(0, 7))]
        driver(steps)._known_users.clear()

        assert told(save(whole, kind, batch)) == told(save(steps, kind, batch))

    (records, pending), (expected, noted) = held(whole, kind), held(steps, kind)
    assert records == expected
    assert pending.keys() == noted.keys()
    assert all(pending[key] >= revision for key, revision in noted.items())
    assert [whole.load_statistics(USERS), whole.load_strategies(USERS)] == [
        steps.load_statistics(USERS),
        steps.load_strategies(USERS),
    ]


def counted(connection: Any) -> list[str]:
    """Return what will be sent through a connection from now on."""
    sent = list[str]()

    def counting(send: Callable[..., Any]) -> Callable[..., Any]:
        def count(text: str, *arguments: Any, **options: Any) -> Any:
            sent.append(text)
            return send(text, *arguments, **options)

        return count

    for name in ("run", "execute"):
        setattr(connection, name, counting(getattr(connection, name)))
    return sent


@pytest.mark.parametrize("kind", KINDS)
def test_one_statement_is_all_that_is_sent(opened, kind):
    store = prepared(opened(pool_size=1, namespace=f"counted {kind}"))
    with driver(store)._database.reading() as connection:
        sent = counted(connection)
    save(store, kind, [MAKE[kind](user, random.Random(1)) for user in USERS])

    assert len(sent) == 1


def test_who_was_erased_by_another_process_meanwhile_is_there_again(opened):
    store, other = prepared(opened(namespace="erased")), opened(namespace="erased")
    for kind in KINDS:
        epoch = other.load_revisions([_thing()])[_thing()].epoch
        other.erase_users(["alice"])
        (receipt,) = save(store, kind, [MAKE[kind]("alice", random.Random(1))])

        assert receipt.epoch == epoch + 1
        assert receipt.erasures == epoch + 1
        assert [record.user_id for record in store.scan(kind, None, 100).records].count("alice") == 1


def _thing() -> Thing:
    return Thing("user", "alice")


def test_saving_and_learning_at_once_lose_nothing_and_never_wait_for_each_other_in_a_circle(opened):
    store = prepared(opened(namespace="at once", pool_size=8))
    users = list(USERS)

    def work(number: int) -> int:
        odds = random.Random(number)
        for n in range(12):
            chosen = odds.sample(users, 3)
            if number % 2:
                store.save_strategies([Strategy(user, f"{number} {n}") for user in chosen])
            else:
                store.update_strategies([StrategyChange(user, extra={"n": n}) for user in chosen])
        return 36

    before = sum(one.revision for one in store.load_revisions([Thing("user", user) for user in users]).values())
    with ThreadPoolExecutor(8) as pool:
        raised = sum(pool.map(work, range(8)))

    after = sum(one.revision for one in store.load_revisions([Thing("user", user) for user in users]).values())
    assert after - before == raised
