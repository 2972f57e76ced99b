"""What the one check in front of every driver refuses, because not every driver could keep it exactly."""

from __future__ import annotations

import copy
import enum
import traceback
import unicodedata
from collections import UserList, deque
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import attrs
import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    MemoryScore,
    Message,
    Outcome,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    ScoreQuery,
    StatisticsChange,
    Store,
    Strategy,
    StrategyChange,
    ValidationError,
    Window,
    validation,
)
from whisper_persistence.plugins import Chain
from whisper_persistence.records.checks import MAX_JSON_BYTES
from whisper_persistence.validation import Validated, normalised, validate, validate_batch

HUGE = 10**5_000
EASTERN = timezone(timedelta(hours=5))


class Roles(enum.StrEnum):
    USER = "user"


def message(**fields: Any) -> Message:
    return Message("talk", "alice", "alice", **{"content": "hello", **fields})


def tangled() -> list[Any]:
    """A list that holds itself twice."""
    knot: list[Any] = []
    knot += [knot, knot]
    return knot


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (Strategy("alice", "s", interventions=HUGE), "Strategy.interventions"),
        (Strategy("alice", "s", extra={"deep": [HUGE]}), "Strategy.extra"),
        (Strategy("alice", "s", extra={"tangled": tangled()}), "Strategy.extra"),
        (MemoryScore("alice", "m", HUGE), "MemoryScore.overall_score"),
        (Pattern("alice", "p", keywords=bytearray()), "Pattern.keywords"),  # type: ignore[arg-type]
        (StrategyChange("alice", Outcome("i", "s", 0.5)), "StrategyChange.outcomes"),  # type: ignore[arg-type]
        (Pattern("alice", "p", keywords=deque("a")), "Pattern.keywords"),  # type: ignore[arg-type]
        (Strategy("alice", "s", effective_approaches=UserList("a")), "Strategy.effective_approaches"),  # type: ignore[arg-type]
        (StrategyChange("alice", removed={"extra": bytearray()}), "StrategyChange.removed"),
        (StrategyChange("alice", removed={"extra": deque("a")}), "StrategyChange.removed"),
        (message(role=Roles.USER), "Message.role"),
        (message(timestamp=datetime.min.replace(tzinfo=EASTERN)), "Message.timestamp"),
        (ScoreQuery("alice", after=MemoryScore("alice", "m", float("nan"))), "ScoreQuery.after.overall_score"),
        (ScoreQuery("alice", after=MemoryScore("alice", "m\0", 0.5)), "ScoreQuery.after.memory_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_database_keeps_exactly_is_refused_by_name(record, field):
    with pytest.raises(ValidationError) as refusal:
        validate(record)

    assert refusal.value.field == field
    assert len(str(refusal.value)) < 200
    assert "int_max_str_digits" not in str(refusal.value)


def test_only_who_says_so_is_not_looked_at_again():
    illegal = Strategy("", "s")
    validate_batch(Validated([illegal]), Strategy)
    with pytest.raises(ValidationError, match="user_id"):
        validate_batch((illegal,), Strategy)


def test_lists_and_tuples_are_both_welcome_and_times_of_any_zone():
    validate(Pattern("alice", "p", keywords=["a", "b"]))
    validate(StrategyChange("alice", removed={"extra": ("a",)}, effective_approaches=["x"]))
    validate(StatisticsChange("alice", [MemoryScore("alice", "m", 1)]))
    validate(message(timestamp=datetime(1, 1, 2, tzinfo=EASTERN)))

    assert message(timestamp=datetime(2026, 1, 1, tzinfo=EASTERN)).timestamp.tzinfo is UTC


def test_whatever_is_the_key_of_a_free_field_can_be_taken_away():
    key = "k" * (MAX_JSON_BYTES - 8 - 8 - 8)
    validate(Preferences("alice", {key: 1}))
    validate(PreferencesChange("alice", removed=[key, ""]))
    validate(StrategyChange("alice", removed={"extra": [key, ""]}))

    for illegal in ("k" * (MAX_JSON_BYTES + 1), "\0"):
        with pytest.raises(ValidationError, match="removed"):
            validate(PreferencesChange("alice", removed=[illegal]))
        with pytest.raises(ValidationError, match="removed"):
            validate(StrategyChange("alice", removed={"extra": [illegal]}))


def test_a_free_field_is_full_at_its_limit():
    validate(Strategy("alice", "s", extra={"x": "y" * (MAX_JSON_BYTES - 8 - 9 - 8)}))

    with pytest.raises(ValidationError, match="64,000"):
        validate(Strategy("alice", "s", extra={"x": "y" * (MAX_JSON_BYTES - 8 - 9 - 7)}))


@pytest.fixture(params=["sqlite", "memory-fallback"])
def store(request, tmp_path, migrated_file):
    driver = SqliteDriver(tmp_path / "memory.db") if request.param == "sqlite" else MemoryFallbackDriver()
    with Store(Chain.of({request.param: driver})) as opened:
        yield opened


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda store: store.load_strategies("alice"), "user_ids must be a list or tuple, not str: put it in a list"),
        (lambda store: store.load_strategies({"a"}), "user_ids must be a list or tuple, not set: make a list of it"),
        (
            lambda store: store.load_strategies(["a", 7]),
            "user_ids has item 1, which must be text, not int: use str(...)",
        ),
        (lambda store: store.save_messages(message()), "batch must be a list or tuple, not Message: put it in a list"),
        (
            lambda store: store.save_messages([message(role=Roles.USER)]),
            "Message.role must be text, not Roles: use its",
        ),
        (lambda store: store.save_messages([{}]), "batch holds a dict where a Message belongs"),
        (lambda store: store.aggregate([]), "question must be one of ActivityByDay, "),
    ],
)
def test_an_error_says_what_to_write_instead(store, asked, said):
    with pytest.raises(ValidationError) as refusal:
        asked(store)

    assert str(refusal.value).startswith(said)


def test_the_largest_limit_is_no_limit(store):
    everything = Window("talk", limit=2**63 - 1)
    store.save_messages([message()])

    assert len(store.load_messages([everything])[everything]) == 1
    assert len(store.scan("messages", None, 2**63 - 1).records) == 1


@pytest.mark.parametrize(
    "cursor",
    [5, b"[]", "", "[5]", '["a"]', "x" * 20_000],
)
def test_a_cursor_of_somebody_elses_is_refused(store, cursor):
    with pytest.raises(ValidationError) as refusal:
        store.scan("messages", cursor, 5)

    assert refusal.value.field == "cursor"


def test_a_cursor_beyond_what_a_database_counts_to_is_refused(tmp_path):
    with Store(Chain.of({"sqlite": SqliteDriver(tmp_path / "memory.db")})) as store:
        for number in (2**63, 10**20):
            with pytest.raises(ValidationError):
                store.scan("messages", f'["talk",{number}]', 5)


def test_what_grew_for_years_can_be_saved_again(store):
    words = [f"word {number}" for number in range(1_500)]
    for part in (words[:1_000], words[1_000:]):
        store.update_patterns([PatternChange("alice", "p", keywords=part)])
        store.update_strategies([StrategyChange("alice", effective_approaches=part)])
    (pattern,), strategy = store.load_patterns(["alice"])["alice"], store.load_strategies(["alice"])["alice"]
    store.save_patterns([pattern])
    store.save_strategies([strategy])

    assert pattern.keywords == strategy.effective_approaches == tuple(words[500:])


def test_an_error_shows_no_private_field():
    change = StrategyChange("alice", optimal_timing={"secret": 1}, removed={"extra": ["secret"]})
    score = MemoryScore("alice", "m", 0.5, boost_events=["secret"])

    assert "secret" not in f"{change!r} {score!r} {Strategy('alice', 's', optimal_timing={'secret': 1})!r}"
    assert "secret" not in "".join(traceback.format_exception(KeyError(change)))


@pytest.mark.parametrize(
    "name", ["\u00df\u0301", " ELENA ", "\u0149\u0301", "\u1f82\u0301", "Stra\u00dfe", "\u0130", "\u212b"]
)
def test_a_namespace_is_normal_once_and_for_all(name):
    assert normalised(normalised(name)) == normalised(name) == normalised(unicodedata.normalize("NFD", name))


class Shout(str):
    __slots__ = ()


class Odd:
    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


#: Each is legal in some field and not in others, or nearly legal.
NASTY: Final[tuple[Any, ...]] = (
    *("", "a", "ü", "a\0", "\ud800", "\udc00", "x" * 512, "x" * 513, "漢" * 170, "漢" * 171, "𝄞" * 128, "𝄞" * 129),
    *("x" * 1_024, "x" * 1_025, "漢" * 341, "漢" * 342, "x" * 1_000_000, "x" * 1_000_001, "é" * 500_001),
    *("user", "nobody", "trusted", Roles.USER, Shout("user"), b"a", None, Odd(), [], ["a"], (), {}, {"a": 1}, {1: 2}),
    *(0, 1, -1, True, 1.0, float("nan"), (1 << 63) - 1, 1 << 63, timedelta(1), timedelta(-1), "2026-01-01"),
    *(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=EASTERN)),
)
LEGAL: Final = (
    Message("talk", "alice", "alice", "hello"),
    Window("talk"),
    Outcome("i", "s", 0.5, user_id="alice"),
    MemoryScore("alice", "m", 0.5),
    Strategy("alice", "s"),
    Pattern("alice", "p"),
)


def with_value(record: Any, field: str, value: Any) -> Any:
    """Return a copy of a record with a value in a field that no converter has seen."""
    made = copy.copy(record)
    object.__setattr__(made, field, value)
    return made


@pytest.mark.parametrize("legal", LEGAL, ids=lambda record: type(record).__name__)
def test_a_batch_that_is_surely_legal_holds_nothing_that_is_not(legal: Any) -> None:
    for field in attrs.fields(type(legal)):
        for value in NASTY:
            odd = with_value(legal, field.name, value)
            try:
                validate(odd)
            except ValidationError as refusal:
                for batch in ([odd] * 20, [odd] + [legal] * 19, [legal] * 19 + [odd]):
                    assert not is_sure(batch), (field.name, value)
                    with pytest.raises(ValidationError, match=refusal.field):
                        validate_batch(batch, type(legal))
            else:
                validate_batch([legal] * 19 + [odd], type(legal))


def is_sure(batch: list[Any]) -> bool:
    return validation._surely_legal(batch, (type(batch[0]),))


def test_an_ordinary_batch_is_surely_legal() -> None:
    assert is_sure([message(message_id=f"m{n}", content="tea? über 漢字", in_reply_to="m0") for n in range(1_000)])
    assert is_sure([message(role="assistant", author_name="Bot", sequence=n) for n in range(20)])


def test_records_of_another_class_are_refused_in_large_batches_too() -> None:
    with pytest.raises(ValidationError, match="holds a Window where a Message belongs"):
        validate_batch([*[message()] * 30, Window("talk")], Message)
