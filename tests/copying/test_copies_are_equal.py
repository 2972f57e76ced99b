"""Copying between databases: equal to the last field and in the same order, however often it stops."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from whisper_persistence.operations import Checkpoint
from whisper_persistence.records import RECORD_KINDS, Follower, ScoreQuery, StatisticsChange, StrategyChange, Window
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.scanning import scan_all

from .copies import FOLLOWED, copy, open_store, run_copy, shown, sqlite_url, standing


def test_to_postgresql_and_back_is_equal_in_every_field_and_order(filled, postgres_url, tmp_path):
    back = sqlite_url(tmp_path, "back")
    for url in (filled, postgres_url):
        with open_store(url, "other bot") as store:
            samples.fill(store, SUBJECT_CAPABILITIES, "alice", f"a talk in {url.partition(':')[0]}")
    with open_store(filled) as store, open_store(postgres_url, "other bot") as other:
        before, untouched = shown(store), standing(other)
    there, again = run_copy(filled, postgres_url), run_copy(postgres_url, back)

    assert there == again
    assert (there["kinds"]["outcomes"]["source"], there["kinds"]["scores"]["destination"]) == (2420, 2418)
    with open_store(postgres_url) as store, open_store(back) as last, open_store(postgres_url, "other bot") as other:
        assert shown(store) == before
        assert shown(last) == before
        assert standing(other) == untouched
    with open_store(back, "other bot") as other:
        assert not any(scan_all(other, kind, 10) for kind in RECORD_KINDS)


@pytest.mark.parametrize("kind", [pytest.param("sqlite", marks=pytest.mark.long), "postgres"])
def test_what_is_cleared_stays_cleared_and_copying_again_changes_nothing(filled, kind, postgres_url, tmp_path):
    to = postgres_url if kind == "postgres" else sqlite_url(tmp_path, "to")
    first = run_copy(filled, to)
    with open_store(to) as store:
        windows = [Window(talk, 2, after=0) for talk in ("long", "short", "cleared")]
        found = store.load_messages(windows)
        store.register_follower(Follower("f", FOLLOWED))
        before = standing(store)

        assert [message.message_id for message in found[windows[0]]] == ["m950", "m951"]
        assert [message.message_id for message in found[windows[1]]] == ["m12", "m13"]
        assert windows[2] not in found
        assert sum(message.conversation_id == "cleared" for message in scan_all(store, "messages", 1_000)) == 3

    assert run_copy(filled, to) == first
    with open_store(to) as store:
        assert standing(store) == before
        assert store.load_pending("f", 10) == ()


class StopError(Exception):
    """The copy is stopped, as by a signal."""


def test_a_copy_that_is_stopped_at_any_page_goes_on_there(filled, tmp_path):
    done: list[tuple[str, str]] = []

    def stop(work: str, kind: str, count: int) -> None:
        done.append((work, kind))
        raise StopError

    def count(work: str, kind: str, count: int) -> None:
        done.append((work, kind))

    with open_store(filled) as source, open_store(sqlite_url(tmp_path, "whole")) as destination:
        copy(source, destination, tmp_path / "whole.json", count)
        pages = done.copy()
    done.clear()
    with open_store(filled) as source, open_store(sqlite_url(tmp_path, "to")) as destination:
        copied = [page for page in pages if page[0] == "copying"]
        for _ in copied:
            with pytest.raises(StopError):
                copy(source, destination, tmp_path / "point.json", stop)

        assert done == copied
        assert len(copied) > 12
        assert (tmp_path / "point.json").stat().st_mode & 0o777 == 0o600
        compared = copy(source, destination, tmp_path / "point.json")
        assert all(kind.equal for kind in compared)
        assert shown(destination) == shown(source)
    assert not (tmp_path / "point.json").exists()


def test_a_copy_that_is_killed_between_its_writes_goes_on(filled, tmp_path):
    with open_store(filled) as source, open_store(sqlite_url(tmp_path, "to")) as destination:
        outcomes = scan_all(source, "outcomes", 1_000)
        own = [outcome for outcome in outcomes if outcome.user_id == "alice"][:1_000]
        destination.update_strategies([StrategyChange("alice", own)])
        scores = source.load_scores([ScoreQuery("alice", "recent", 10_000)]).popitem()[1][::-1]
        destination.update_statistics([StatisticsChange("alice", scores[:700])])
        messages = scan_all(source, "messages", 1_000)
        destination.save_messages([m for m in messages if m.conversation_id == "long"][:555])

        assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
        assert shown(destination) == shown(source)


def test_a_cursor_that_the_source_does_not_know_any_more_begins_the_kind_anew(pair, tmp_path):
    source, destination = pair
    Checkpoint(tmp_path / "point.json", "test", ["outcomes"], None).move("scores", "not a cursor of this store")

    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}
    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"outcomes": False}
    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))


def test_times_at_the_edges_survive(pair, tmp_path):
    source, destination = pair
    edited = [
        attrs.evolve(samples.message("edges", message_id=f"{n}"), timestamp=moment, edited_at=moment)
        for n, moment in enumerate((*samples.EDGES, samples.MOMENT + timedelta(microseconds=1)))
    ]
    source.save_messages(edited)

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)
