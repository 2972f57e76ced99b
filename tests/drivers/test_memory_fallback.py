"""What is peculiar to the in-memory driver, and one look at every hook."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, get_args

import attrs
import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver

from whisper_persistence import Store, StoreClosedError, ValidationError
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import (
    ConversationSpecs,
    FollowerSpecs,
    LifecycleSpecs,
    StatisticsSpecs,
    StrategySpecs,
    hook_names,
)
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    ClearMark,
    Durability,
    Follower,
    MemoryScore,
    Message,
    MessageEdit,
    MessageRedaction,
    Outcome,
    OutcomeQuery,
    Pattern,
    PatternChange,
    Pending,
    Preferences,
    PreferencesChange,
    Revision,
    ScoreQuery,
    State,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
    Thing,
    Window,
)
from whisper_persistence.records.following import FollowedKind
from whisper_persistence.records.maintenance import RecordKind

ALICE, TALK = Thing("user", "alice"), Thing("conversation", "talk")


def open_store() -> Store:
    return Store(Chain.build([DriverSpec("memory-fallback")]))


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store() as opened:
        yield opened


def say(message_id: str, user_id: str = "alice", **others: Any) -> Message:
    return Message("talk", user_id, others.pop("author_id", user_id), message_id, message_id=message_id, **others)


def answer(message_id: str, question: str, user_id: str = "alice") -> Message:
    return say(message_id, user_id, author_id="bot", role="assistant", in_reply_to=question)


def shown(store: Store, **window: Any) -> list[str]:
    asked = Window("talk", **window)
    return [message.message_id for message in store.load_messages([asked]).get(asked, ())]


def weigh(store: Store, *scores: tuple[str, float], **others: Any) -> Statistics:
    named = [MemoryScore("alice", memory_id, score) for memory_id, score in scores]
    store.update_statistics([StatisticsChange("alice", named, **others)])
    return store.load_statistics(["alice"])["alice"]


def pending(store: Store, follower: str = "index") -> list[tuple[str, str, str, int]]:
    rows = store.load_pending(follower, 1_000)
    return [(row.kind, row.thing_id, row.item, row.revision) for row in rows]


def test_it_has_every_hook_that_it_promises() -> None:
    promised = hook_names([LifecycleSpecs, StrategySpecs, StatisticsSpecs, ConversationSpecs, FollowerSpecs])
    marked = {
        name
        for name in dir(MemoryFallbackDriver)
        if hasattr(getattr(MemoryFallbackDriver, name), "whisper_persistence_impl")
    }

    more = {"search_messages", "scan", "scan_messages", "erase_users", "expire", "aggregate"}
    assert marked == {*promised, *more} - {"inspect_schema"}


def test_it_answers_nothing_before_it_is_opened_and_after_it_is_closed() -> None:
    driver = MemoryFallbackDriver()
    with pytest.raises(StoreClosedError):
        driver.load_strategies(["alice"])
    chain = Chain.build([DriverSpec("memory-fallback")])
    Store(chain).close()
    with pytest.raises(StoreClosedError):
        chain.hook.load_strategies(user_ids=["alice"])


def test_instances_and_openings_share_nothing(store: Store) -> None:
    chain = Chain.build([DriverSpec("memory-fallback")])
    for current in (store, Store(chain)):
        current.save_strategies([Strategy("alice", "s")])
    chain.close()
    with Store(chain) as reopened, open_store() as other:
        assert not reopened.load_strategies(["alice"])
        assert not other.load_strategies(["alice"])
    assert store.load_strategies(["alice"])


def test_nothing_outside_reaches_what_is_stored(store: Store) -> None:
    values: dict[str, Any] = {"deep": {"list": [1, {"x": 2}]}}
    saved = Preferences("alice", values)
    store.save_preferences([saved])
    values["deep"]["list"].append("intruder")
    loaded = store.load_preferences(["alice"])["alice"]
    loaded.values["deep"]["list"][1]["x"] = "intruder"

    assert store.load_preferences(["alice"])["alice"].values == {"deep": {"list": [1, {"x": 2}]}}


def test_a_change_lends_nothing_to_what_it_changed(store: Store) -> None:
    extra: dict[str, Any] = {"tags": ["a"]}
    context: dict[str, Any] = {"mood": ["low"]}
    store.update_strategies([StrategyChange("alice", [Outcome("i", "gentle", 0.9, context=context)], extra=extra)])
    store.update_statistics([StatisticsChange("alice", [MemoryScore("alice", "m", 0.5, extra=extra)])])
    store.save_messages([say("q", extra=extra)])
    extra["tags"].append("intruder")
    context["mood"].append("intruder")
    kinds: tuple[RecordKind, ...] = ("strategies", "outcomes", "scores", "messages")
    first = [store.scan(kind, None, 9).records[0] for kind in kinds]
    first[0].extra["tags"].append("intruder")

    assert [store.scan(kind, None, 9).records[0].extra for kind in kinds] == [
        {"tags": ["a"]},
        {},
        {"tags": ["a"]},
        {"tags": ["a"]},
    ]
    assert first[1].context == {"mood": ["low"]}


def test_every_receipt_says_that_it_is_volatile(store: Store) -> None:
    receipts = [
        *store.save_strategies([Strategy("alice", "s")]),
        *store.update_strategies([StrategyChange("alice")]),
        *store.save_statistics([Statistics("alice")]),
        *store.update_statistics([StatisticsChange("alice")]),
        *store.save_patterns([Pattern("alice", "p")]),
        *store.update_patterns([PatternChange("alice", "p")]),
        *store.save_preferences([Preferences("alice")]),
        *store.update_preferences([PreferencesChange("alice")]),
    ]
    talk = [*store.save_messages([say("q")]), *store.update_messages([ClearMark("talk")])]

    assert {receipt.durability for receipt in [*receipts, *talk]} == {Durability.VOLATILE}
    assert [receipt.revision for receipt in receipts] == list(range(1, 9))
    assert [receipt.revision for receipt in talk] == [1, 2]


def test_a_change_applied_before_changes_nothing(store: Store) -> None:
    strategy = StrategyChange("alice", [Outcome("i", "gentle", 0.9)])
    statistics = StatisticsChange("alice", [MemoryScore("alice", "m", 0.5)])
    pattern, wish = PatternChange("alice", "p"), PreferencesChange("alice", {"a": 1})
    store.update_strategies([strategy, strategy])
    store.update_statistics([statistics, statistics])
    store.update_patterns([pattern, pattern])
    receipts = store.update_preferences([wish, wish])

    assert [receipt.revision for receipt in receipts] == [4, 4]
    assert store.load_strategies(["alice"])["alice"].interventions == 1
    assert store.load_statistics(["alice"])["alice"].total_memories_scored == 1
    assert store.load_patterns(["alice"])["alice"][0].frequency == 1


def test_outcomes_and_scores_share_one_sequence(store: Store) -> None:
    first, second, third = (Outcome("i", "gentle", 0.9) for _ in range(3))
    store.update_strategies([StrategyChange("alice", [first, second])])
    weigh(store, ("m1", 0.2), ("m2", 0.4), ("m1", 0.6))
    store.update_strategies([StrategyChange("alice", [second, third])])
    outcomes, scores = OutcomeQuery("alice"), ScoreQuery("alice", "recent")

    assert [one.sequence for one in store.load_outcomes([outcomes])[outcomes]] == [5, 2, 1]
    assert [(one.memory_id, one.sequence) for one in store.load_scores([scores])[scores]] == [("m1", 4), ("m2", 3)]
    assert store.load_strategies(["alice"])["alice"].interventions == 3
    assert store.load_revisions([ALICE]) == {ALICE: Revision(revision=3, sequence=5)}


def test_outcomes_come_in_pages(store: Store) -> None:
    store.update_strategies([StrategyChange("alice", [Outcome(f"i{n}", "gentle", 0.9) for n in range(5)])])
    query = OutcomeQuery("alice", limit=2, before=4)
    pages = store.load_outcomes([query, OutcomeQuery("nobody")])

    assert list(pages) == [query]
    assert [outcome.intervention_id for outcome in pages[query]] == ["i2", "i1"]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.3], (0.3, 0.3, 0.3)), ([0.3, 0.8], (0.3, 0.55, 0.8)), ([0.9, 0.1, 0.3], (0.1, 0.3, 0.9))],
)
def test_the_median_of_one_two_and_three_scores(
    store: Store, scores: list[float], expected: tuple[float, float, float]
) -> None:
    found = weigh(store, *((f"m{n}", score) for n, score in enumerate(scores)))

    assert (found.minimum, found.median, found.maximum) == expected
    assert store.scan("statistics", None, 1).records == (found,)


def test_extremes_follow_replaced_and_forgotten_scores(store: Store) -> None:
    weigh(store, ("low", 0.1), ("mid", 0.5), ("high", 0.9))
    replaced = weigh(store, ("low", 0.6))
    left = weigh(store, forgotten=["high", "mid", "unknown"])
    none = weigh(store, forgotten=["low"])

    assert (replaced.minimum, replaced.median, replaced.maximum) == (0.5, 0.6, 0.9)
    assert (left.minimum, left.median, left.maximum, left.total_memories_scored) == (0.6, 0.6, 0.6, 1)
    assert (none.minimum, none.median, none.maximum, none.total_memories_scored) == (None, None, None, 0)


def test_statistics_saved_without_their_scores_stay_as_saved(store: Store) -> None:
    saved = Statistics("alice", 3, 1_500_000_000, minimum=0.25, maximum=0.75, median=0.5)
    store.save_statistics([saved])

    assert store.load_statistics(["alice", "nobody"]) == {"alice": saved}


def test_a_score_both_forgotten_and_given_stays(store: Store) -> None:
    found = weigh(store, ("m", 0.4), forgotten=["m"])

    assert found.total_memories_scored == len(store.scan("scores", None, 9).records) == 1


@pytest.mark.parametrize("order", ["top", "recent"])
def test_pages_of_scores_join_without_gap(store: Store, order: Any) -> None:
    weigh(store, ("a", 0.5), ("b", 0.5), ("c", 0.9), ("é", 0.5))
    seen, after = list[str](), None
    while page := store.load_scores([query := ScoreQuery("alice", order, 1, after)]).get(query):
        seen, after = [*seen, *(score.memory_id for score in page)], page[0]

    assert seen == (["c", "é", "b", "a"] if order == "top" else ["é", "c", "b", "a"])


def test_patterns_and_preferences(store: Store) -> None:
    store.save_patterns([Pattern("alice", "é"), Pattern("alice", "z", "old"), Pattern("alice", "z", "new")])
    store.update_patterns([PatternChange("alice", "a", keywords=["rain"])])
    store.save_preferences([Preferences("alice", {"a": 1, "b": 2})])
    store.update_preferences([PreferencesChange("alice", {"c": 3}, removed=["a"])])
    patterns = store.load_patterns(["alice", "nobody"])

    assert list(patterns) == ["alice"]
    assert [(one.pattern_id, one.pattern_type) for one in patterns["alice"]] == [("a", ""), ("z", "new"), ("é", "")]
    assert store.load_preferences(["alice", "nobody"])["alice"].values == {"b": 2, "c": 3}


def test_a_message_sent_twice_is_stored_once_and_uses_up_no_sequence(store: Store) -> None:
    receipts = store.save_messages([say("a"), attrs.evolve(say("a"), content="other"), say("b")])

    assert [(receipt.sequence, receipt.revision) for receipt in receipts] == [(1, 1), (1, 1), (2, 2)]
    assert store.load_revisions([TALK, ALICE]) == {TALK: Revision(revision=2, sequence=2)}
    assert [message.content for message in store.scan("messages", None, 9).records] == ["a", "b"]


def test_windows(store: Store) -> None:
    store.save_messages([say("q1"), answer("r1", "q1"), say("x", "bob"), say("q2"), answer("r2", "q2")])

    assert shown(store, limit=2) == ["q2", "r2"]
    assert shown(store, limit=1) == ["q2", "r2"]
    assert shown(store, limit=1, before=3) == ["q1", "r1"]
    assert shown(store, limit=1, after=1) == ["r1"]
    assert shown(store, limit=9, after=1, before=4) == ["r1", "x"]
    assert shown(store, user_id="bob") == ["x"]
    assert shown(store, limit=3, user_id="alice") == ["q1", "r1", "q2", "r2"]
    assert shown(store, user_id="nobody") == []
    assert shown(store, limit=2**63 - 1) == ["q1", "r1", "x", "q2", "r2"]


def test_a_question_that_is_cleared_of_another_user_or_later_is_not_taken_along(store: Store) -> None:
    store.save_messages(
        [say("q1"), answer("r1", "q1"), answer("early", "late"), say("late"), answer("r2", "late", "bob")]
    )

    assert shown(store, limit=1, before=4) == ["early"]
    assert shown(store, limit=1, user_id="bob") == ["r2"]
    store.update_messages([ClearMark("talk", through=1)])
    assert shown(store, limit=1, before=3) == ["r1"]


def test_edits_redactions_and_marks(store: Store) -> None:
    store.save_messages([say("a"), say("b"), say("c")])
    edit, mark = MessageEdit("talk", "b", "new words"), ClearMark("talk", through=1)
    receipts = store.update_messages(
        [edit, MessageEdit("talk", "gone", "x"), MessageRedaction("talk", "c"), mark, edit, mark]
    )

    assert [(receipt.sequence, receipt.revision) for receipt in receipts] == [
        (2, 4),
        (None, 4),
        (3, 5),
        (1, 6),
        (2, 6),
        (1, 6),
    ]
    assert [m.content for m in store.scan("messages", None, 9).records] == ["a", "new words", ""]
    assert shown(store) == shown(store, after=0) == ["b", "c"]
    assert store.update_messages([ClearMark("talk")])[0].sequence == 3
    assert shown(store) == []


def test_an_edit_of_an_unknown_message_leaves_no_trace(store: Store) -> None:
    edit = MessageEdit("talk", "a", "new words")
    unknown = store.update_messages([edit])[0]
    before = store.load_revisions([TALK])
    store.save_messages([say("a")])

    assert (unknown.sequence, unknown.revision, before) == (None, 0, {})
    assert store.update_messages([edit])[0].revision == 2


def test_followers_are_told_of_the_kinds_they_asked_for(store: Store) -> None:
    kinds: Any = get_args(FollowedKind)
    assert store.register_follower(Follower("index", kinds)) is True
    store.register_follower(Follower("talks", ["messages"]))
    outcome = Outcome("i", "gentle", 0.9, outcome_id="o")
    store.update_strategies([StrategyChange("alice", [outcome])])
    store.update_statistics([StatisticsChange("alice", [MemoryScore("alice", "m", 0.5)], forgotten=["n"])])
    store.save_patterns([Pattern("alice", "p")])
    store.save_preferences([Preferences("alice")])
    store.save_messages([say("a"), say("a")])

    assert pending(store, "talks") == [("messages", "talk", "a", 1)]
    assert pending(store) == [
        ("conversations", "talk", "", 1),
        ("messages", "talk", "a", 1),
        ("outcomes", "alice", "o", 1),
        ("strategies", "alice", "", 1),
        ("scores", "alice", "m", 2),
        ("scores", "alice", "n", 2),
        ("statistics", "alice", "", 2),
        ("patterns", "alice", "p", 3),
        ("preferences", "alice", "", 4),
    ]


def test_pending_work_is_cleared_up_to_a_revision(store: Store) -> None:
    store.register_follower(Follower("index", ["preferences", "messages"]))
    store.save_preferences([Preferences("alice")])
    seen = store.load_pending("index", 1)
    store.save_preferences([Preferences("alice")])

    assert store.clear_pending([*seen, Pending("nobody", "messages", "talk", "a", 9)]) == 0
    assert store.clear_pending(store.load_pending("index", 9)) == 1
    assert pending(store) == []
    assert store.register_follower(Follower("index", ["messages"])) is False
    store.save_preferences([Preferences("alice")])
    assert pending(store) == []


def fill(store: Store) -> None:
    for user_id in ("bob", "alice", "émile"):
        store.update_strategies([StrategyChange(user_id, [Outcome(f"i{n}", "gentle", 0.9) for n in range(3)])])
        scores = [MemoryScore(user_id, f"m{n}", 0.5) for n in range(3)]
        store.update_statistics([StatisticsChange(user_id, scores)])
        store.save_patterns([Pattern(user_id, f"p{n}") for n in (2, 0, 1)])
        store.save_preferences([Preferences(user_id)])
        store.save_messages([Message(c, user_id, user_id, "") for c in ("c2", "c1") for _ in range(2)])


TOTALS: dict[RecordKind, int] = {
    "strategies": 3,
    "outcomes": 9,
    "statistics": 3,
    "scores": 9,
    "patterns": 9,
    "preferences": 3,
    "messages": 12,
}


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_scan_returns_everything_once_in_order(store: Store, limit: int) -> None:
    fill(store)
    store.update_messages([ClearMark("c1")])
    for kind, total in TOTALS.items():
        pages = [store.scan(kind, None, limit)]
        while pages[-1].cursor is not None:
            pages.append(store.scan(kind, pages[-1].cursor, limit))
        records = [record for page in pages for record in page.records]
        keys = [_scan_key(record) for record in records]

        assert keys == sorted(set(keys))
        assert (len(records), len(pages)) == (total, -(-total // limit))


def _scan_key(record: Any) -> tuple[str, Any]:
    thing = record.conversation_id if isinstance(record, Message) else record.user_id
    return thing, getattr(record, "sequence", None) or getattr(record, "pattern_id", "")


def test_scan_asks_below_for_other_kinds_and_refuses_a_foreign_cursor(store: Store) -> None:
    fill(store)
    cursor = store.scan("patterns", None, 1).cursor

    assert store.chain.hook.scan(kind="vectors", cursor=None, limit=1) is None
    with pytest.raises(ValidationError, match="messages"):
        store.scan("messages", cursor, 1)


def test_erase_forgets_a_user_everywhere_but_keeps_counting(store: Store) -> None:
    fill(store)
    change = StrategyChange("alice", communication_style="gentle")
    store.update_strategies([change])
    asked = Message("c1", "bob", "alice", "asked for bob", message_id="asked")
    quoted = Message("c1", "bob", "alice", "by a tool", role="tool", message_id="quoted")
    store.save_messages([asked, quoted])
    store.register_follower(Follower("index", ["messages", "conversations", "patterns"]))
    before = store.load_revisions([ALICE, Thing("conversation", "c1")])
    report = store.erase_users(["alice", "unheard", "alice"])
    after = store.load_revisions([ALICE, Thing("user", "unheard"), Thing("conversation", "c1")])

    assert report[0].tier == "memory-fallback"
    assert report[0].counts == {
        "strategies": 1,
        "outcomes": 3,
        "statistics": 1,
        "scores": 3,
        "patterns": 3,
        "preferences": 1,
        "messages": 5,
    }
    assert all(record.user_id != "alice" for kind in TOTALS for record in store.scan(kind, None, 100).records)
    assert after[ALICE] == Revision(before[ALICE].revision + 1, 1, before[ALICE].sequence)
    assert after[Thing("user", "unheard")] == Revision(1, 1, 0)
    assert after[Thing("conversation", "c1")].revision == before[Thing("conversation", "c1")].revision + 1
    assert len(pending(store)) == 3 + 5 + 2
    assert "quoted" in [message.message_id for message in store.scan("messages", None, 100).records]
    assert store.update_strategies([change])[0] == store.update_strategies([change])[0]
    assert not store.load_strategies(["alice"])
    assert store.save_messages([Message("c1", "alice", "alice", "back")])[0].sequence == 9


def test_health(store: Store) -> None:
    fill(store)
    (health,) = store.check_health()

    assert (health.tier, health.state) == ("memory-fallback", State.UP)
    assert health.details == {"users": 3, "conversations": 2, "messages": 12, "conflicts": 0, "pending": 0}


def test_32_threads_lose_nothing(store: Store) -> None:
    start = threading.Barrier(32)

    def work(number: int) -> None:
        start.wait()
        for n in range(20):
            store.save_messages([say(f"{number}-{n}"), say(f"shared-{n}")])
            store.update_strategies([StrategyChange("alice", [Outcome("i", "gentle", 1)])])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.load_strategies(["alice"])["alice"].interventions == 640
    assert store.load_revisions([TALK, ALICE]) == {TALK: Revision(660, 0, 660), ALICE: Revision(640, 0, 640)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_write_leaves_a_child_that_works(store: Store) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.save_messages([say(str(n)) for n in range(200)])

    writer = threading.Thread(target=write)
    writer.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        statuses = [_fork_and_read(store) for _ in range(20)]
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        writer.join()

    assert statuses == [0] * 20


def _fork_and_read(store: Store) -> int:
    child = os.fork()
    if child == 0:
        import faulthandler

        faulthandler.dump_traceback_later(10, exit=True)
        os._exit(0 if store.save_preferences([Preferences("alice")])[0].revision == 1 else 1)
    return os.waitpid(child, 0)[1]
