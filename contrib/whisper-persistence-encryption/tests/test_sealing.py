"""What is stored is sealed, opens where it was put and nowhere else, and never reads as nothing."""

from __future__ import annotations

import json
import random
import stat
from collections.abc import Callable
from datetime import timedelta
from typing import Any, get_type_hints

import attrs
import pytest
from marked import MASTER, Marks, writes
from whisper_persistence_encryption import EncryptionDriver, UnreadableError, new_master_key
from whisper_persistence_encryption.shapes import SHAPES

from whisper_persistence import ConfigurationError, StorageUnavailableError, Store, ValidationError
from whisper_persistence import records as rec
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.errors import PartlyDamagedError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageEdit,
    MessageRedaction,
    Outcome,
    OutcomeQuery,
    PatternChange,
    PreferencesChange,
    ScoreQuery,
    SearchQuery,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.testing import SUBJECT_CAPABILITIES, hostile, samples

TALK = Window("talk", 1_000)
#: What stays readable, and why it has to: see the README.
CLEAR = {
    "user_id", "conversation_id", "author_id", "message_id", "in_reply_to", "outcome_id", "intervention_id",
    "session_id", "memory_id", "pattern_id", "strategy_id", "change_id", "role", "forgotten",
    "factor_scores", "factor_sums", "factor_counts", "weight_adjustments",
}  # fmt: skip
READS = {
    "load_strategies": lambda store: store.load_strategies(["alice"]),
    "load_outcomes": lambda store: store.load_outcomes([OutcomeQuery("alice")]),
    "load_statistics": lambda store: store.load_statistics(["alice"]),
    "load_patterns": lambda store: store.load_patterns(["alice"]),
    "load_preferences": lambda store: store.load_preferences(["alice"]),
    "load_scores": lambda store: store.load_scores([ScoreQuery("alice")]),
    "load_messages": lambda store: store.load_messages([TALK]),
    "search_messages": lambda store: store.search_messages([SearchQuery("word", "alice")]),
    **{f"scan {kind}": lambda store, kind=kind: store.scan(kind, None, 10) for kind in rec.RECORD_KINDS},
}


def plain_store(path: Any, namespace: str = "elena") -> Store:
    return Store(Chain.build([DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)


def marks_on_disk(folder: Any, marks: Marks) -> list[str]:
    content = b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
    return [mark for mark in marks.given if mark.encode() in content]


def test_no_mark_is_in_any_file_at_any_time_after_a_write(tmp_path, opened):
    marks = Marks()
    store = opened()
    for write in writes(marks):
        write(store)

        assert marks_on_disk(tmp_path, marks) == []
    assert len(marks.given) > 60
    store.close()
    assert marks_on_disk(tmp_path, marks) == []


def test_the_same_marks_are_found_where_nothing_is_sealed(tmp_path):
    marks = Marks()
    with plain_store(tmp_path) as store:
        for write in writes(marks):
            write(store)

        found = marks_on_disk(tmp_path, marks)
    assert len(found) > len(marks.given) - 10, "all but removed names, and what was replaced in the same file"


@pytest.mark.parametrize("record_type", [*rec.RECORD_KINDS.values(), *SHAPES], ids=lambda kind: kind.__name__)
def test_every_field_with_text_in_it_is_sealed_or_known_to_be_clear(record_type):
    hints = get_type_hints(record_type)
    with_text = {name for name, hint in hints.items() if any(part in str(hint) for part in ("str", "dict", "Any"))}
    sealed = {field.name for field in SHAPES[record_type]}

    assert with_text - sealed - CLEAR == set()


@pytest.mark.parametrize("read", READS)
def test_with_other_keys_every_read_raises(tmp_path, opened, read):
    with opened() as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
    with (
        opened(key_store=str(tmp_path / "other.db")) as store,
        pytest.raises(UnreadableError, match="cannot be opened"),
    ):
        READS[read](store)


def test_a_wrong_master_key_is_refused_at_open_by_the_id_of_the_right_one(opened):
    with opened() as store:
        store.save_strategies([Strategy("alice", "s")])
        master = store.check_health()[0].details["master_key"]
    with pytest.raises(ConfigurationError, match=f"master key {master} wrapped, which is not at hand"):
        opened(master_keys=new_master_key())


@pytest.mark.parametrize("read", READS)
def test_what_was_stored_in_the_clear_is_refused(tmp_path, opened, read):
    with plain_store(tmp_path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)

    with opened() as store, pytest.raises(UnreadableError):
        READS[read](store)


def test_plain_words_put_into_a_sealed_record_are_refused(opened, sql):
    store = opened()
    store.save_messages([samples.message(message_id="m")])
    record = json.loads(sql("SELECT record FROM conversation_history")[0][0])
    for field, value in {"content": "hello", "author_name": "Mallory", "extra": {"note": 1}}.items():
        sql("UPDATE conversation_history SET checksum = NULL, record = ?", json.dumps({**record, field: value}))

        assert is_refused(store, "m")


def is_refused(store: Store, message_id: str) -> bool:
    """Say whether a message is not shown, and that it is there: by an error, or by health where it is left out."""
    try:
        shown = store.load_messages([TALK]).get(TALK, ())
    except UnreadableError:
        return True
    left_out = store.check_health()[0].details["damaged"]
    return bool(left_out) and message_id not in [message.message_id for message in shown]


def sealed_message(sql: Any, message_id: str) -> dict[str, Any]:
    ((record,),) = sql("SELECT record FROM conversation_history WHERE message_id = ?", message_id)
    return dict(json.loads(record))


def put_message(sql: Any, message_id: str, record: dict[str, Any]) -> None:
    sql(
        "UPDATE conversation_history SET checksum = NULL, record = ? WHERE message_id = ?",
        json.dumps(record),
        message_id,
    )


@pytest.mark.parametrize("donor", ["same user", "other user", "other talk"])
@pytest.mark.parametrize("field", ["content", "author_name", "extra"])
def test_what_is_moved_to_another_message_does_not_open(opened, sql, donor, field):
    store = opened()
    store.save_messages(
        [
            samples.full_message("talk", "alice", "here"),
            samples.full_message("talk", "alice", "same user"),
            samples.full_message("talk", "bob", "other user"),
            samples.full_message("elsewhere", "alice", "other talk"),
        ]
    )
    put_message(sql, "here", {**sealed_message(sql, "here"), field: sealed_message(sql, donor)[field]})

    assert is_refused(store, "here")
    if donor == "other user":  # for all that can be told, its keys are not the right ones
        with pytest.raises(UnreadableError, match=f"{field} of messages"):
            store.load_messages([TALK])


def test_what_is_moved_to_another_field_or_namespace_does_not_open(opened, sql):
    store, other = opened("elena"), opened("marcus")
    for each in (store, other):
        each.save_messages([samples.full_message(message_id=f"m {each.namespace}")])
    whole = sealed_message(sql, "m elena")

    put_message(sql, "m elena", {**whole, "content": whole["author_name"]})
    assert is_refused(store, "m elena")
    put_message(sql, "m elena", {**whole, "content": sealed_message(sql, "m marcus")["content"]})
    assert is_refused(store, "m elena")
    put_message(sql, "m elena", whole)
    assert store.load_messages([TALK])[TALK][0].content == samples.full_message().content


def test_a_whole_record_under_another_user_does_not_open(opened, sql):
    store = opened()
    store.save_preferences([samples.full_preferences("alice"), samples.full_preferences("bob")])
    ((record,),) = sql("SELECT record FROM user_memory_preferences WHERE user_id = 'alice'")
    mine = record.replace('"alice"', '"bob"')
    sql("UPDATE user_memory_preferences SET checksum = NULL, record = ? WHERE user_id = 'bob'", mine)

    with pytest.raises(UnreadableError):
        store.load_preferences(["bob"])


def test_values_swapped_between_the_keys_of_one_object_do_not_open(opened, sql):
    store = opened()
    store.save_preferences([rec.Preferences("alice", {"pets": "yes", "jokes": "no"})])
    ((text,),) = sql("SELECT record FROM user_memory_preferences")
    record = json.loads(text)
    first, second = record["values"]
    record["values"] = {first: record["values"][second], second: record["values"][first]}
    sql("UPDATE user_memory_preferences SET checksum = NULL, record = ?", json.dumps(record))

    with pytest.raises(UnreadableError, match="values of preferences"):
        store.load_preferences(["alice"])


def test_no_flipped_character_goes_unnoticed(opened, sql):
    store = opened()
    store.save_messages([samples.message(message_id="m", content="hi")])
    whole = sealed_message(sql, "m")
    for at, character in enumerate(whole["content"]):
        flipped = whole["content"][:at] + ("A" if character != "A" else "B") + whole["content"][at + 1 :]
        put_message(sql, "m", {**whole, "content": flipped})
        assert is_refused(store, "m")
        assert "m" not in [one.message_id for one in store.load_messages([TALK]).get(TALK, ())], at
    for broken in ("", "=", "é", whole["content"][:-4], whole["content"][:8]):
        put_message(sql, "m", {**whole, "content": broken})
        assert is_refused(store, "m")


def flipped(sealed: str) -> str:
    """Return a sealed text with one bit of it flipped, behind its head."""
    return sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]


def flip(sql: Any, table: str, where: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the records of a table that a condition names, behind the store's back."""
    for (text,) in sql(f"SELECT record FROM {table} WHERE {where}"):  # noqa: S608
        record = json.loads(text)
        change(record)
        sql(f"UPDATE {table} SET checksum = NULL, record = ? WHERE record = ?", json.dumps(record), text)  # noqa: S608


def test_a_sealed_record_that_is_altered_is_left_out_among_others_and_an_error_by_its_key(opened, sql, caplog):
    store = opened()
    scores = [samples.score(f"m{n}", n / 10, score_explanation="why") for n in range(4)]
    store.save_messages(samples.talk(6))
    store.update_statistics([rec.StatisticsChange("alice", scores)])
    store.save_preferences([rec.Preferences(user, {"quiet": "yes"}) for user in ("alice", "bob")])
    words = "conversation_history", "message_id IN ('m1', 'm4')"
    flip(sql, *words, lambda record: record.update(content=flipped(record["content"])))
    why = "memory_importance_scores", "memory_id = 'm2'"
    flip(sql, *why, lambda record: record.update(score_explanation=flipped(record["score_explanation"])))
    wishes = "user_memory_preferences", "user_id = 'bob'"
    flip(sql, *wishes, lambda record: record.update(values={k: flipped(v) for k, v in record["values"].items()}))
    window, query = Window("talk", 3), ScoreQuery("alice", limit=2)
    page = store.scan("messages", None, 10)

    assert [one.message_id for one in store.load_messages([TALK])[TALK]] == ["m0", "m2", "m3", "m5"]
    assert [one.message_id for one in store.load_messages([window])[window]] == ["m2", "m3", "m5"]
    assert ([one.message_id for one in page.records], page.damaged) == (["m0", "m2", "m3", "m5"], ("talk 2", "talk 5"))
    assert [one.memory_id for one in store.load_scores([query])[query]] == ["m3", "m1"]
    with pytest.raises(UnreadableError):
        store.load_preferences(["bob"])
    assert set(store.load_preferences(["alice"])) == {"alice"}
    health = store.check_health()[0]
    assert (health.state, health.details["damaged"]) == (rec.State.DEGRADED, 3)
    assert caplog.text.count("a sealed record was altered and is left out") == 3


def test_sets_stay_sets_and_members_and_keys_can_be_removed(opened, sql):
    store = opened()
    praise = Outcome("i", "praise", 0.9)
    store.update_strategies([StrategyChange("alice", (praise,), effective_approaches=("praise", "tea"))] * 2)
    store.update_strategies([StrategyChange("alice", extra={"a": 1, "b": 2}), StrategyChange("bob", (praise,))])
    store.update_strategies([StrategyChange("alice", removed={"effective_approaches": ("tea",), "extra": ("a",)})])
    store.update_patterns([PatternChange("alice", "p", keywords=words) for words in (("x", "y"), ("y",))])
    store.update_preferences([PreferencesChange("alice", {"a": 1}), PreferencesChange("alice", {"a": 2}, ("b",))])
    alice = store.load_strategies(["alice"])["alice"]

    assert (alice.effective_approaches, alice.extra) == (("praise",), {"b": 2})
    assert alice.support_history[0]["intervention_style"] == "praise"
    assert store.load_patterns(["alice"])["alice"][0].keywords == ("x", "y")
    assert store.load_preferences(["alice"])["alice"].values == {"a": 2}
    styles = sql("SELECT user_id, intervention_style FROM support_strategy_history")
    assert len(set(styles)) == 2, "one user's styles can be counted without being read"
    assert len({style for _, style in styles}) == 2, "those of two users cannot be compared"


def test_the_same_words_look_different_every_time(opened, sql):
    store = opened()
    store.save_messages([samples.message(content="same words") for _ in range(5)])
    records = [json.loads(row[0])["content"] for row in sql("SELECT record FROM conversation_history")]

    assert len({record[20:] for record in records}) == 5


def test_edits_redactions_and_clearing_go_on_as_ever(opened):
    store = opened()
    store.save_messages([samples.message(message_id=f"m{n}", user_id=f"u{n % 2}") for n in range(120)])
    changes = [MessageEdit("talk", "m119", "new"), MessageEdit("talk", "m3", "old"), MessageRedaction("talk", "m118")]
    receipts = store.update_messages([*changes, MessageEdit("talk", "m118", "back?"), MessageEdit("talk", "no", "x")])
    shown = {message.message_id: message for message in store.load_messages([TALK])[TALK]}

    assert (shown["m119"].content, shown["m3"].content) == ("new", "old")
    assert shown["m118"].is_redacted()
    assert [receipt.sequence for receipt in receipts] == [120, 4, 119, 119, None]


def test_a_message_behind_the_clear_mark_is_edited_with_its_conversations_key(opened):
    store = opened()
    store.save_messages(samples.talk(2))
    store.update_messages([ClearMark("talk"), MessageEdit("talk", "m0", "edited after all")])

    assert [message.content for message in store.scan("messages", None, 9).records] == ["edited after all", "words 1"]
    with opened() as again:
        assert again.scan("messages", None, 9).records[0].content == "edited after all"


def test_a_redacted_message_that_is_saved_again_stays_redacted(opened, tmp_path):
    gone = Message("talk", "alice", "alice", "", message_id="m", extra={"redacted": True})
    store = opened()
    store.save_messages([gone])
    store.update_messages([MessageEdit("talk", "m", "back?")])

    assert store.load_messages([TALK])[TALK] == (gone,)


def test_what_fits_only_when_it_is_compressed_is_compressed(opened):
    store = opened()
    message = samples.message(message_id="m", content="ä" * 500_000, author_name="b" * 1_000)
    store.save_messages([message])

    assert store.load_messages([TALK])[TALK] == (message,)


def random_text(size: int) -> str:
    letters = random.Random(size)
    return "".join(chr(letters.randrange(33, 127)) for _ in range(size))


@pytest.mark.parametrize(
    ("write", "field"),
    [
        (lambda s: s.save_messages([samples.message(content=random_text(950_000))]), "Message.content"),
        (lambda s: s.save_messages([samples.message(author_name=random_text(1_000))]), "Message.author_name"),
        (
            lambda s: s.update_strategies([StrategyChange("a", (Outcome("i", random_text(1_000), 0.5),))]),
            "StrategyChange.outcomes[0].intervention_style",
        ),
        (
            lambda s: s.save_preferences([rec.Preferences("a", {f"{n}": n for n in range(900)})]),
            "Preferences.values",
        ),
        (lambda s: s.update_messages([MessageEdit("t", "m", random_text(950_000))]), "MessageEdit.content"),
    ],
)
def test_what_is_too_long_once_sealed_is_refused_by_its_field(opened, write, field):
    store = opened()
    with pytest.raises(ValidationError, match="too long to be sealed") as refusal:
        write(store)

    assert refusal.value.field == field
    assert store.scan("messages", None, 10).records == store.scan("strategies", None, 10).records == ()


def test_pages_of_scores_go_on_without_showing_words_below(opened):
    store = opened()
    scores = [samples.score(f"m{n}", n / 10, score_explanation="why") for n in range(5)]
    store.update_statistics([rec.StatisticsChange("alice", scores)])
    for order in ("top", "recent"):
        query = ScoreQuery("alice", order, 2)
        first = store.load_scores([query])[query]
        following = attrs.evolve(query, after=first[-1])

        assert [score.memory_id for score in store.load_scores([following])[following]] == ["m2", "m1"]


def test_only_the_owner_may_read_the_keys(opened, tmp_path):
    opened().save_strategies([Strategy("alice", "s")])

    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("keys.db*")} == {0o600}


def test_two_bots_share_a_key_store_and_no_key(opened):
    elena, marcus = opened("elena"), opened("marcus")
    for store in (elena, marcus):
        store.save_messages([samples.message(content=store.namespace, timestamp=samples.MOMENT + timedelta(1))])
    elena.erase_users(["alice"])

    assert elena.load_messages([TALK]) == {}
    assert marcus.load_messages([TALK])[TALK][0].content == "marcus"


def test_nothing_tells_a_master_key(opened):
    store = opened()
    driver = store.chain.drivers["encryption"]

    assert MASTER not in repr(driver)
    assert MASTER not in repr(store.check_health())


def test_hostile_words_and_ids_are_sealed_and_opened_exactly(opened):
    words = [text for text in hostile.texts(700) if text and hostile.storable(text) and len(text.encode()) <= 512]
    wishes = [rec.Preferences(x, {x: [x]}, extra={x: x}) for x in words]
    said = [Message("talk", x, x, x, message_id=x, author_name=x, extra={x: x}) for x in words]
    store = opened()
    store.save_preferences(wishes)
    store.save_messages(said)
    found = store.load_preferences(words)

    assert samples.same([found[x] for x in words], wishes)
    assert samples.same(store.load_messages([TALK])[TALK], said)


class PartlyError(StorageUnavailableError):
    """What a net below raises in an outage: some it knows, the rest it does not."""

    def __init__(self, found: Any, unknown: Any) -> None:
        super().__init__("some of it is not known")
        self.found, self.unknown = found, unknown


class Net:
    """A net below that knows the first key of a load alone."""

    contract_version = 1

    @hookimpl
    def open(self, below: Any, namespace: str) -> None:
        self.below = below

    @hookimpl
    def load_messages(self, windows: Any) -> Any:
        raise PartlyError(self.below.load_messages(windows=windows[:1]), frozenset(windows[1:]))

    @hookimpl
    def load_scores(self, queries: Any) -> Any:
        raise PartlyError(self.below.load_scores(queries=queries[:1]), frozenset(queries[1:]))


def test_what_a_net_still_knows_in_an_outage_is_opened_too(tmp_path):
    memory = Chain.build([DriverSpec("memory-fallback")]).drivers["memory-fallback"]
    encryption = EncryptionDriver((MASTER,), key_store=str(tmp_path / "keys.db"))
    message = samples.message(content="known")
    score = samples.score("m", 0.5, score_explanation="why")
    query = ScoreQuery("alice", after=samples.score("n", 0.9, score_explanation="in words"))
    with Store(Chain.of({"encryption": encryption, "net": Net(), "memory": memory})) as store:
        store.save_messages([message])
        store.update_statistics([rec.StatisticsChange("alice", (score,))])
        with pytest.raises(PartlyError) as messages:
            store.load_messages([TALK, Window("other")])
        with pytest.raises(PartlyError) as scores:
            store.load_scores([query, ScoreQuery("bob")])

    assert messages.value.found == {TALK: (message,)}
    assert messages.value.unknown == {Window("other")}
    assert scores.value.found == {query: (score,)}
    assert scores.value.unknown == {ScoreQuery("bob")}


def test_what_a_database_can_still_read_beside_a_damaged_record_is_opened_too(opened, sql):
    store = opened()
    store.save_preferences([rec.Preferences(user, {"quiet": "yes"}) for user in ("alice", "bob")])
    sql("UPDATE user_memory_preferences SET record = '{' WHERE user_id = 'bob'")
    with pytest.raises(PartlyDamagedError) as told:
        store.load_preferences(["alice", "bob"])

    assert told.value.found["alice"].values == {"quiet": "yes"}
    assert told.value.unknown == {"bob"}
