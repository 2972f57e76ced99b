"""Importing JSON Lines: every kind, in order, once; and a bad line is named and stops its batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from whisper_persistence import codec
from whisper_persistence.errors import ValidationError
from whisper_persistence.operations import Batch, import_file, import_messages, load_profile
from whisper_persistence.operations import transfer as transfer_module
from whisper_persistence.records import (
    RECORD_KINDS,
    MemoryScore,
    Message,
    Outcome,
    OutcomeQuery,
    Pattern,
    Preferences,
    ScoreQuery,
    Statistics,
    Strategy,
    Window,
)
from whisper_persistence.settings import Settings
from whisper_persistence.store import Store

PRIVATE = "nobody-may-read-this"
WHEN = datetime(2025, 3, 1, 8, 0, 0, 123456, UTC)
TALK = Window("c", 10_000)


@pytest.fixture
def store(tmp_path: Path, migrated_file: None) -> Iterator[Store]:
    with Store.from_settings(Settings(options={"sqlite": {"path": str(tmp_path / "memory.db")}})) as opened:
        yield opened


def line(number: int = 1, **fields: Any) -> dict[str, Any]:
    base = {"conversation_id": "c", "user_id": "u", "author_id": "u", "content": "text", "message_id": f"m{number}"}
    return {**base, **fields}


def write(tmp_path: Path, *lines: dict[str, Any] | bytes) -> Path:
    file = tmp_path / "talk.jsonl"
    rows = (row if isinstance(row, bytes) else msgspec.json.encode(row) for row in lines)
    file.write_bytes(b"\n".join(rows))
    return file


def read(store: Store) -> tuple[Message, ...]:
    return store.load_messages([TALK]).get(TALK, ())


def test_nasty_text_arrives_exactly(store: Store, tmp_path: Path) -> None:
    texts = ["", " ", "ünïcödé 👩‍👩‍👧 \u202e", "a\r\nb\u2028c", '"\\\x1b[31m', "x" * 1_000_000]
    rows = [line(number, content=text) for number, text in enumerate(texts)]
    file = write(tmp_path, *rows)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + b"\n\n  \r\n")

    assert import_file(store, file) == {"messages": len(texts)}
    assert [message.content for message in read(store)] == texts


def test_twice_is_once_and_unknown_fields_are_kept(store: Store, tmp_path: Path) -> None:
    file = write(tmp_path, line(1, guild="g", extra={"old": 1}), line(2, in_reply_to="m1", role="assistant"))
    import_file(store, file)
    import_file(store, file)
    first, second = read(store)

    assert first.extra == {"old": 1, "guild": "g"}
    assert (second.in_reply_to, second.role) == ("m1", "assistant")


def test_every_kind_comes_back_equal(store: Store, tmp_path: Path) -> None:
    outcome = Outcome("i", "gentle", 0.8, "ok", WHEN, "o", "u", "s", "thanks", True, ("l",), {"k": [1]}, {"x": None})
    score = MemoryScore("u", "m", 0.9, {"recency": 0.5}, WHEN, "why", 0.02, ("boost",), {"x": 1})
    strategy = Strategy("u", "u_strategy", "gentle", ("a",), ("b",), {"t": "x"}, {"p": 1}, ({"h": 1},), WHEN, 7, 3, 5)
    statistics = Statistics(
        "u", 1, 900_000_000, 0.9, 0.9, 0.9, 1, {"recency": 5}, {"recency": 1}, {"recency": -3}, 2, WHEN
    )
    pattern = Pattern("u", "p", "topic", ("k",), 2, 10, 20, WHEN, WHEN, {"x": 1})
    wishes = Preferences("u", {"advice": False}, WHEN, {"x": 1})
    message = Message("c", "u", "u", "text", "user", "m", WHEN, None, "Name", WHEN, {"x": 1})
    kinds = {kind: name for name, kind in RECORD_KINDS.items()}
    records = [outcome, score, strategy, statistics, pattern, wishes, message]
    file = write(tmp_path, *({"kind": kinds[type(record)], **codec.to_mapping(record)} for record in records))

    assert import_file(store, file) == dict.fromkeys(RECORD_KINDS, 1)
    assert store.load_outcomes([OutcomeQuery("u")]) == {OutcomeQuery("u"): (outcome,)}
    assert store.load_scores([ScoreQuery("u")]) == {ScoreQuery("u"): (score,)}
    assert store.load_strategies(["u"]) == {"u": strategy}
    assert store.load_statistics(["u"]) == {"u": statistics}
    assert store.load_patterns(["u"]) == {"u": (pattern,)}
    assert store.load_preferences(["u"]) == {"u": wishes}
    assert read(store) == (message,)


def test_outcomes_teach_in_the_order_of_the_file_and_scores_count(store: Store, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "kind": "outcomes",
            "user_id": user,
            "intervention_id": "i",
            "intervention_style": style,
            "effectiveness_score": 0.9,
            "outcome_id": f"{user}{style}",
            "timestamp": "2025-03-01T08:00:00Z",
        }
        for style in ("first", "second")
        for user in ("u", "v")
    ]
    scores = [{"kind": "scores", "user_id": "u", "memory_id": m, "overall_score": 0.5} for m in ("a", "b", "a")]
    file = write(tmp_path, *rows, *scores)
    import_file(store, file)
    import_file(store, file)
    strategies = store.load_strategies(["u", "v"])

    assert [strategies[user].effective_approaches for user in ("u", "v")] == [("first", "second")] * 2
    assert [strategies[user].interventions for user in ("u", "v")] == [2, 2]
    assert strategies["u"].last_updated == datetime(2025, 3, 1, 8, tzinfo=UTC)
    assert store.load_statistics(["u"])["u"].total_memories_scored == 2


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"{", "talk.jsonl:3 is not JSON"),
        (b'{"content": NaN}', "talk.jsonl:3 is not JSON"),
        (b"\xff\xfe", "talk.jsonl:3 is not JSON"),
        (b"[" * 100_000, "talk.jsonl:3 is not JSON"),
        (b"[]", "talk.jsonl:3 is not a JSON object"),
        (line(3, kind="secrets"), "talk.jsonl:3: kind must be one of strategies"),
        (line(3, kind=["messages"]), "talk.jsonl:3: kind must be one of"),
        ({"content": PRIVATE}, "talk.jsonl:3: Message cannot be read"),
        (line(3, content=f"{PRIVATE}\0"), "talk.jsonl:3: Message.content holds a NUL"),
        (line(3, content=PRIVATE * 60_000), "talk.jsonl:3: Message.content has 1,200,000 bytes"),
        (line(3, user_id=""), "talk.jsonl:3: Message.user_id must not be empty"),
        (line(3, timestamp="2025-03-01T08:00:00"), "talk.jsonl:3: Message.timestamp has no time zone"),
        (line(3, extra=5, other=1), "talk.jsonl:3: Message cannot be read"),
        (line(3, content=5), "talk.jsonl:3: Message cannot be read"),
    ],
)
def test_a_bad_line_is_named_and_nothing_of_its_batch_is_stored(
    store: Store, tmp_path: Path, bad: dict[str, Any] | bytes, problem: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        import_file(store, write(tmp_path, line(1), line(2), bad, line(4)))

    assert str(caught.value).startswith(problem)
    assert PRIVATE not in str(caught.value)
    assert read(store) == ()


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (
            {"kind": "scores", "user_id": "u", "memory_id": "m", "overall_score": 1.5},
            "talk.jsonl:2: MemoryScore.overall_score must be between 0 and 1",
        ),
        (
            {"kind": "outcomes", "intervention_id": "i", "intervention_style": "s", "effectiveness_score": 0.5},
            "talk.jsonl:2: Outcome.user_id must not be empty",
        ),
    ],
)
def test_a_bad_change_is_named_by_its_line(store: Store, tmp_path: Path, bad: dict[str, Any], problem: str) -> None:
    good = {**bad, "user_id": "u", "memory_id": "n", "overall_score": 0.5}
    with pytest.raises(ValidationError) as caught:
        import_file(store, write(tmp_path, good, bad))

    assert str(caught.value).startswith(problem)
    assert store.load_scores([ScoreQuery("u")]) == {}
    assert store.load_strategies(["u"]) == {}


def test_batches_before_the_bad_line_are_stored(store: Store, tmp_path: Path) -> None:
    done: list[Batch] = []
    rows = [line(number) for number in range(2_500)]
    with pytest.raises(ValidationError, match=r"talk\.jsonl:2001:"):
        import_file(store, write(tmp_path, *rows[:2_000], line(0, author_id=""), *rows[2_000:]), done.append)

    assert [len(batch.records) for batch in done] == [1_000, 1_000]
    assert len(read(store)) == 2_000


def test_the_order_of_the_file_is_the_order_of_the_talk(store: Store, tmp_path: Path) -> None:
    rows = [line(number, timestamp="2025-03-01T08:00:00Z") for number in (*range(1_500, 0, -1), 0)]
    file, sizes = write(tmp_path, *rows), list[int]()
    import_file(store, file, lambda batch: sizes.append(batch.size))

    assert [message.message_id for message in read(store)] == [row["message_id"] for row in rows]
    assert sum(sizes) == file.stat().st_size


@pytest.mark.parametrize("size", [0, 1, 2_500])
def test_messages_at_hand_are_imported_in_their_order(store: Store, size: int) -> None:
    talk = [Message(f"c{number % 7}", "u", "u", str(number)) for number in range(size)]

    assert import_messages(store, iter(talk)) == size
    assert import_messages(store, talk) == size
    assert texts_of(store, range(7)) == {f"c{n}": [str(m) for m in range(n, size, 7)] for n in range(min(7, size))}


def test_a_bad_message_is_named_by_its_place_and_ends_the_import(store: Store) -> None:
    talk = [Message("c", "u", "u", PRIVATE, message_id=str(number)) for number in range(3_000)]
    talk[1_500] = attrs.evolve(talk[1_500], role="nobody")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"messages\[1500\]: Message\.role must be one of") as caught:
        import_messages(store, talk)

    assert PRIVATE not in str(caught.value)
    assert [message.message_id for message in read(store)] == [str(number) for number in range(1_000)]


def test_what_is_no_message_is_named_by_its_place(store: Store) -> None:
    with pytest.raises(ValidationError, match=r"messages\[1\]: batch holds a dict where a Message belongs"):
        import_messages(store, [Message("c", "u", "u", "text"), line()])  # type: ignore[list-item]

    assert read(store) == ()


def texts_of(store: Store, numbers: range) -> dict[str, list[str]]:
    """Return the texts of some conversations, those that there are."""
    found = store.load_messages([Window(f"c{number}", 10_000) for number in numbers])
    return {window.conversation_id: [m.content for m in messages] for window, messages in found.items() if messages}


def test_an_endless_line_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_module, "MAX_LINE_BYTES", 1_000)

    with pytest.raises(ValidationError, match=r"talk\.jsonl:2 has more than 1,000 bytes"):
        import_file(store, write(tmp_path, line(1), line(2, content="x" * 1_000)))


def test_a_profile_finds_a_users_talk_in_every_conversation(store: Store, tmp_path: Path) -> None:
    rows = [
        line(number, conversation_id=f"c{number % 3}", user_id=user, timestamp=f"2025-03-01T08:00:{number:02}Z")
        for number in range(12)
        for user in (("u",) if number % 2 else ("v",))
    ]
    import_file(store, write(tmp_path, *rows))

    everywhere = load_profile(store, "u", limit=4)
    assert [message.message_id for message in everywhere.messages] == ["m5", "m7", "m9", "m11"]
    assert [m.message_id for m in load_profile(store, "u", conversations=["c1", "c1"]).messages] == ["m1", "m7"]
    assert not everywhere.is_empty()
    assert load_profile(store, "nobody").is_empty()


def test_no_text_is_logged(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    file = write(tmp_path, line(1, content=PRIVATE), line(2, content=PRIVATE, message_id=""))
    with pytest.raises(ValidationError):
        import_file(store, file)
    import_file(store, write(tmp_path, line(1, content=PRIVATE)))
    load_profile(store, "u")

    assert PRIVATE not in "".join(str(vars(record)) for record in caplog.records)
    assert PRIVATE not in repr(load_profile(store, "u"))
