"""What the destination holds already: brought in line where it can be, left there and told where not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from whisper_persistence import Store
from whisper_persistence.records import (
    RECORD_KINDS,
    ClearMark,
    MessageEdit,
    MessageRedaction,
    Preferences,
    StatisticsChange,
    StrategyChange,
    Window,
)
from whisper_persistence.testing import samples
from whisper_persistence.testing.scanning import scan_all

from .copies import copy, fill, open_store, run, run_copy, shown, sqlite_url


def test_what_was_written_since_is_brought_by_the_next_copy(pair, tmp_path):
    source, destination = pair
    more = [samples.score(f"more {n}", 0.5) for n in range(5)]
    source.update_statistics([StatisticsChange("alice", more)])
    copy(source, destination, tmp_path / "point.json")
    source.update_messages([MessageEdit("talk", "m0", "edited"), ClearMark("talk", 2)])
    source.update_messages([MessageRedaction("talk", "full"), MessageEdit("talk", "full", "told too late")])
    source.update_messages([MessageEdit("talk", "m1", "first edited"), MessageRedaction("talk", "m1")])
    source.save_messages([samples.message("talk", "new"), samples.message("other", "new")])
    source.update_statistics([StatisticsChange("alice", [more[2], samples.score("memory", 0.1)])])
    source.update_strategies([StrategyChange("alice", [samples.outcome()], timestamp=samples.MOMENT)])
    source.save_preferences([Preferences("alice", {"other": 1}), Preferences("bob")])

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)
    full = next(m for m in scan_all(destination, "messages", 10) if m.message_id == "full")
    assert (full.content, full.author_name, full.extra) == ("", "", {"redacted": True})


def test_an_erased_user_is_copied_again_and_what_was_cleared_is_not_shown(pair, tmp_path):
    source, destination = pair
    copy(source, destination, tmp_path / "point.json")
    destination.erase_users(["alice"])

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)


CHANGES: dict[str, Callable[[Store], object]] = {
    "outcomes": lambda store: store.update_strategies([StrategyChange("alice", [samples.outcome()])]),
    "scores": lambda store: store.update_statistics([StatisticsChange("bob", [samples.score("m", 0.5, "bob")])]),
    "strategies": lambda store: store.save_strategies([samples.full_strategy("bob")]),
    "statistics": lambda store: store.save_statistics([samples.full_statistics("bob")]),
    "patterns": lambda store: store.save_patterns([samples.full_pattern("alice", "other")]),
    "preferences": lambda store: store.save_preferences([Preferences("bob")]),
    "messages": lambda store: store.save_messages([samples.message("talk", message_id="other")]),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_only_the_destination_holds_is_left_there_and_told(kind, small, tmp_path):
    to = sqlite_url(tmp_path, "to")
    run_copy(small, to)
    with open_store(to) as store:
        CHANGES[kind](store)
    result = run("copy", "--from", small, "--to", to)

    assert result.exit_code == 1
    assert f"source and destination differ in {kind} (" in result.stderr or f", {kind} (" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "different" in result.stdout
    assert list((tmp_path / "state" / "whisper-persistence" / "copies").iterdir()) == []


def test_the_same_number_of_other_records_is_a_difference(pair, tmp_path):
    source, destination = pair
    for store, words in ((source, "words"), (destination, "other words")):
        store.save_messages([samples.message("other", words, message_id="m0")])
    destination.update_strategies(
        [StrategyChange("alice", [samples.outcome(0.1, outcome_id="o1")], timestamp=samples.MOMENT)]
    )
    compared = {kind.kind: kind for kind in copy(source, destination, tmp_path / "point.json")}

    assert (compared["messages"].source, compared["messages"].destination) == (4, 4)
    assert {name for name, kind in compared.items() if not kind.equal} == {"messages", "outcomes"}


def test_another_order_is_a_difference(pair, tmp_path):
    source, destination = pair
    source.save_messages(samples.talk(4))
    destination.save_messages(samples.talk(4)[::-1])
    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}

    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"messages": False}


def test_a_message_that_is_cleared_only_at_the_destination_is_a_difference(pair, tmp_path):
    source, destination = pair
    copy(source, destination, tmp_path / "point.json")
    destination.update_messages([ClearMark("talk", 2)])
    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}

    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"messages": False}


def test_a_message_that_only_the_destination_shows_is_not_hidden_by_what_is_cleared(pair, tmp_path):
    source, destination = pair
    destination.save_messages([samples.message("fresh", "shown")])
    (receipt,) = source.save_messages([samples.message("fresh", "cleared")])
    source.update_messages([ClearMark("fresh", receipt.sequence)])
    source.save_messages([samples.message("fresh", "later")])
    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}
    window = Window("fresh")

    assert [message.content for message in destination.load_messages([window])[window]] == ["shown", "later"]
    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"messages": False}


def test_scores_that_came_in_another_order_are_put_right(pair, tmp_path):
    source, destination = pair
    scores = [samples.score(f"m{n}", 0.5, calculation_timestamp=samples.MOMENT) for n in range(9)]
    source.update_statistics([StatisticsChange("alice", scores)])
    destination.update_statistics([StatisticsChange("alice", [*scores[4:], *scores[:4]])])

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)


def test_stores_that_walk_in_another_order_are_compared_alike(tmp_path):
    with open_store("memory://") as source, open_store(sqlite_url(tmp_path, "to")) as destination:
        fill(source)
        copy(source, destination, tmp_path / "point.json")
        by_time, by_id = (
            [score.memory_id for score in scan_all(store, "scores", 999)] for store in (source, destination)
        )

        assert by_time != by_id
        assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
        assert shown(destination) == shown(source)
