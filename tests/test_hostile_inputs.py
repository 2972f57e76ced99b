"""Two thousand hostile inputs: each is stored and returned exactly, or refused by its field; none touches another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisper_persistence import NotSupportedError, Store, ValidationError
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    RECORD_KINDS,
    MemoryScore,
    Message,
    MessageEdit,
    Outcome,
    OutcomeQuery,
    PatternChange,
    Preferences,
    ScoreQuery,
    SearchQuery,
    StatisticsChange,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.testing import SUBJECT_CAPABILITIES, hostile, samples

TEXTS = hostile.texts(2_000)
IDS = [text for text in TEXTS if text and hostile.storable(text) and len(text.encode()) <= 512]
WORDS = [text for text in TEXTS if hostile.storable(text)]
BYSTANDERS = (("alice", "talk of alice"), ("bob", "talk of bob"))


@pytest.fixture(params=["memory-fallback", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: None) -> Iterator[Store]:
    """An open store with two users in it who have nothing to do with any of this."""
    options: dict[str, dict[str, Any]] = {"memory-fallback": {}, "sqlite": {"path": tmp_path / "memory.db"}}
    if request.param == "postgres":
        options["postgres"] = {"url": request.getfixturevalue("postgres_url")}
    with Store(Chain.build([DriverSpec(request.param, options[request.param])]), "elena") as store:
        for user, talk in BYSTANDERS:
            samples.fill(store, SUBJECT_CAPABILITIES, user, talk)
        yield store


def seen(store: Store) -> dict[str, Any]:
    return {user: samples.read(store, SUBJECT_CAPABILITIES, user, talk) for user, talk in BYSTANDERS}


def chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + 500] for start in range(0, len(items), 500))


def written(save: Callable[[Sequence[Any]], Any], items: Sequence[Any]) -> None:
    for chunk in chunks(items):
        assert len(save(chunk)) == len(chunk)


def loaded(load: Callable[[Sequence[Any]], Any], keys: Sequence[Any]) -> dict[Any, Any]:
    return {key: value for chunk in chunks(keys) for key, value in load(chunk).items()}


def test_there_are_two_thousand_of_them_and_all_sorts():
    refused = [text for text in TEXTS if not hostile.storable(text)]

    assert len(set(TEXTS)) == 2_000
    assert len(refused) > 30
    assert len({text.strip().casefold() for text in IDS}) < len(IDS) > 1_800


def test_messages_of_hostile_people_come_back_exactly_and_touch_nobody(store):
    before = seen(store)
    said = [Message(x, f"to {x}"[:128], f"by {x}"[:128], x, message_id=x, author_name=x, extra={x: [x]}) for x in IDS]
    plain = [Message("words", "speaker", "speaker", x, message_id=f"{n}", extra={"x": x}) for n, x in enumerate(WORDS)]
    written(store.save_messages, said)
    written(store.save_messages, plain)
    written(store.update_messages, [MessageEdit(x, f"{x}'", "edited") for x in IDS if len(x.encode()) < 500])
    shown = loaded(store.load_messages, [Window(x) for x in IDS])

    assert samples.same([message for x in IDS for message in shown[Window(x)]], said)
    everything = Window("words", 10_000)
    assert samples.same(store.load_messages([everything])[everything], plain)
    assert seen(store) == before


def test_what_is_learned_of_hostile_people_comes_back_exactly_and_touches_nobody(store):
    before = seen(store)
    strategies = [Strategy(x, x, x, (x,), (x,), {x: x}, {x: [x]}, ({x: x},), extra={x: {x: x}}) for x in IDS]
    outcomes = {x: Outcome(x, x, 0.5, x, outcome_id=x, user_response=x, context={x: x}) for x in IDS}
    scores = {x: MemoryScore(x, x, 0.5, {x: 0.5}, score_explanation=x, boost_events=(x,), extra={x: x}) for x in IDS}
    written(store.save_strategies, strategies)
    written(store.update_strategies, [StrategyChange(x, (outcomes[x],), change_id=x) for x in IDS])
    written(store.update_statistics, [StatisticsChange(x, (scores[x],), (), {x: 0.1}) for x in IDS])
    written(store.update_patterns, [PatternChange(x, x, 0.5, 0.5, x, (x,), {x: x}) for x in IDS])
    written(store.save_preferences, [Preferences(x, {x: x}, extra={x: x}) for x in IDS])

    found = loaded(store.load_strategies, IDS)
    assert [found[x].user_preferences for x in IDS] == [{x: [x]} for x in IDS]
    assert [found[x].effective_approaches for x in IDS] == [(x,) for x in IDS]
    page = loaded(store.load_outcomes, [OutcomeQuery(x) for x in IDS])
    assert [page[OutcomeQuery(x)][0].user_response for x in IDS] == IDS
    top = loaded(store.load_scores, [ScoreQuery(x) for x in IDS])
    assert samples.same([top[ScoreQuery(x)][0] for x in IDS], list(scores.values()))
    patterns = loaded(store.load_patterns, IDS)
    assert [(patterns[x][0].pattern_id, patterns[x][0].keywords) for x in IDS] == [(x, (x,)) for x in IDS]
    wishes = loaded(store.load_preferences, IDS)
    assert [(wishes[x].values, wishes[x].extra) for x in IDS] == [({x: x}, {x: x}) for x in IDS]
    assert seen(store) == before


def test_half_of_them_are_erased_and_the_other_half_stays(store):
    before = seen(store)
    written(store.save_preferences, [Preferences(x, {x: x}) for x in IDS])
    written(store.save_messages, [Message("shared", x, x, x, message_id=x) for x in IDS])
    gone, kept = IDS[::2], IDS[1::2]
    for chunk in chunks(gone):
        store.erase_users(chunk)
    window = Window("shared", 10_000)

    assert set(loaded(store.load_preferences, IDS)) == set(kept)
    assert [message.content for message in store.load_messages([window])[window]] == kept
    assert seen(store) == before


def _learned(**fields: Any) -> StrategyChange:
    return StrategyChange("u", (Outcome("i", "gentle", 0.5, **fields),))


def _scored(memory_id: str) -> StatisticsChange:
    return StatisticsChange("u", (MemoryScore("u", memory_id, 0.5),))


LONG = "x" * 1_000_001
REFUSED: list[tuple[str, str, Callable[[str], Any]]] = [
    ("save_messages", "Message.content", lambda x: Message("c", "u", "u", x)),
    ("save_messages", "Message.conversation_id", lambda x: Message(x, "u", "u", "")),
    ("save_messages", "Message.message_id", lambda x: Message("c", "u", "u", "", message_id=x)),
    ("save_messages", "Message.author_name", lambda x: Message("c", "u", "u", "", author_name=x)),
    ("update_messages", "MessageEdit.content", lambda x: MessageEdit("c", "m", x)),
    ("save_strategies", "Strategy.user_id", lambda x: Strategy(x, "s")),
    ("save_strategies", "Strategy.effective_approaches", lambda x: Strategy("u", "s", effective_approaches=(x,))),
    ("update_strategies", "StrategyChange.outcomes[0].user_response", lambda x: _learned(user_response=x)),
    ("update_strategies", "StrategyChange.outcomes[0].lessons_learned", lambda x: _learned(lessons_learned=(x,))),
    ("update_statistics", "StatisticsChange.scores[0].memory_id", _scored),
    ("update_patterns", "PatternChange.keywords", lambda x: PatternChange("u", "p", keywords=(x,))),
    ("load_messages", "Window.conversation_id", Window),
    ("load_outcomes", "OutcomeQuery.user_id", OutcomeQuery),
    ("load_preferences", "user_ids", str),
    ("erase_users", "user_ids", str),
]


@pytest.mark.parametrize(("hook", "field", "make"), REFUSED, ids=[field for _, field, _ in REFUSED])
def test_what_no_database_keeps_is_refused_by_its_field_and_stores_nothing(hook, field, make):
    with Store(Chain.build([DriverSpec("memory-fallback")])) as store:
        for text in [text for text in TEXTS if not hostile.storable(text)] + [LONG]:
            with pytest.raises(ValidationError) as refusal:
                getattr(store, hook)([make(text)])

            assert refusal.value.field == field
            assert len(text) < 4 or text not in str(refusal.value)
        assert not any(store.scan(kind, None, 1).records for kind in RECORD_KINDS)


def test_json_is_kept_exactly_or_refused_by_its_field(store):
    before, fine = seen(store), []
    for n, (value, legal) in enumerate(hostile.objects(400)):
        wish = Preferences(f"user {n}", value)
        if legal:
            fine.append(wish)
            continue
        with pytest.raises(ValidationError) as refusal:
            store.save_preferences([Preferences("bystander"), wish])
        assert refusal.value.field == "Preferences.values"
    written(store.save_preferences, fine)
    found = loaded(store.load_preferences, [wish.user_id for wish in fine])

    assert len(fine) > 200
    assert samples.same([found[wish.user_id] for wish in fine], fine)
    assert store.load_preferences(["bystander"]) == {}
    assert seen(store) == before


def test_questions_are_never_syntax(store):
    before = seen(store)
    for text in WORDS[:400:2]:
        with suppress(NotSupportedError):
            assert store.search_messages([SearchQuery(text, user_id="nobody")]) is not None
        with suppress(ValidationError):
            store.scan("messages", text, 1)

    assert loaded(store.load_messages, [Window("talk of alice", user_id=x) for x in IDS]) == {}
    assert loaded(store.load_preferences, [x for x in IDS if x != "alice"]) == {}
    assert seen(store) == before


fragments = st.sampled_from([text for text in TEXTS if text])
wild = st.lists(st.one_of(fragments, st.text(max_size=30)), max_size=4).map("".join)


def test_whatever_is_found_by_trying_is_kept_exactly_or_refused(store):
    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(st.lists(st.tuples(wild, wild), max_size=12, unique_by=lambda pair: pair[0]))
    def tried(pairs):
        kept = [wish for wish in (Preferences(f"{user}.", {text: text}) for user, text in pairs) if _keeps(store, wish)]
        found = loaded(store.load_preferences, [wish.user_id for wish in kept])
        assert samples.same([found[wish.user_id] for wish in kept], kept)

    before = seen(store)
    tried()
    assert seen(store) == before


def _keeps(store: Store, wish: Preferences) -> bool:
    (text,) = wish.values
    refused = [("Preferences.user_id", _is_id(wish.user_id)), ("Preferences.values", hostile.storable(text))]
    expected = next((field for field, fine in refused if not fine), None)
    if expected is None:
        store.save_preferences([wish])
        return True
    with pytest.raises(ValidationError) as refusal:
        store.save_preferences([wish])
    assert refusal.value.field == expected
    return False


def _is_id(text: str) -> bool:
    return hostile.storable(text) and len(text.encode()) <= 512
