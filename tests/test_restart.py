"""What was learned survives the end of the process, equal in every field."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from whisper_persistence import (
    OutcomeQuery,
    PatternChange,
    PreferencesChange,
    ScoreQuery,
    StatisticsChange,
    Store,
    StrategyChange,
    Window,
)
from whisper_persistence.testing import samples

PREAMBLE = """
import json, os, signal, sys
from whisper_persistence import Store
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

def shown(store):
    read = samples.read(store, SUBJECT_CAPABILITIES)
    return {hook: [samples.exact(r) for r in (v if isinstance(v, tuple) else (v,))] for hook, v in read.items()}

store = Store.from_settings(url="sqlite:///" + sys.argv[1])
"""
WRITING = """
samples.fill(store, SUBJECT_CAPABILITIES)
print(json.dumps(shown(store)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
READING = """
print(json.dumps(shown(store)), flush=True)
store.close()
"""


def told(code: str, path: Any, ending: int) -> dict[str, list[str]]:
    """Return what a process of its own shows of a store, before it ends as it must."""
    command = [sys.executable, "-c", PREAMBLE + code, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603

    assert (ended.returncode, ended.stderr) == (ending, "")
    return json.loads(ended.stdout)


def test_all_that_was_learned_is_there_after_a_kill(tmp_path):
    path = tmp_path / "memory.db"
    before = told(WRITING, path, -9)

    assert len(before) >= 10
    assert told(READING, path, 0) == before
    assert told(READING, path, 0) == before


@pytest.fixture
def filled(tmp_path) -> Any:
    """A store that another process filled, and was killed."""
    told(WRITING, tmp_path / "memory.db", -9)
    with Store.from_settings(url=f"sqlite:///{tmp_path / 'memory.db'}") as store:
        yield store


def test_a_strategy_and_its_outcomes_are_what_was_written(filled):
    outcome = samples.full_outcome()
    change = StrategyChange("alice", [outcome], timestamp=samples.MOMENT)
    query = OutcomeQuery("alice")

    assert samples.same(filled.load_strategies(["alice"])["alice"], change.apply_to(samples.full_strategy()))
    assert samples.same(filled.load_outcomes([query])[query], [outcome])


def test_scores_and_statistics_are_what_was_written(filled):
    score = samples.full_score()
    expected = StatisticsChange("alice", [score], timestamp=samples.MOMENT).apply_to(None, {})
    found = filled.load_statistics(["alice"])["alice"]

    for order in ("top", "recent"):
        query = ScoreQuery("alice", order)
        assert samples.same(filled.load_scores([query])[query], [score])
    assert (found.score_sum, found.factor_sums, found.last_updated) == (
        expected.score_sum,
        expected.factor_sums,
        expected.last_updated,
    )
    assert found.minimum == found.median == found.maximum == score.overall_score
    assert found.weights() == expected.weights()


def test_patterns_and_preferences_are_what_was_written(filled):
    seen = PatternChange("alice", "second", timestamp=samples.MOMENT).apply_to(None)
    wish = PreferencesChange("alice", {"quiet": True}, timestamp=samples.MOMENT)

    assert samples.same(filled.load_patterns(["alice"])["alice"], [samples.full_pattern(), seen])
    assert samples.same(filled.load_preferences(["alice"])["alice"], wish.apply_to(samples.full_preferences()))


def test_times_are_the_same_moments_in_utc(filled):
    moments = [
        filled.load_strategies(["alice"])["alice"].last_updated,
        filled.load_outcomes([OutcomeQuery("alice")])[OutcomeQuery("alice")][0].timestamp,
        filled.load_scores([ScoreQuery("alice")])[ScoreQuery("alice")][0].calculation_timestamp,
        filled.load_patterns(["alice"])["alice"][0].first_seen,
        filled.load_preferences(["alice"])["alice"].last_updated,
        filled.load_messages([Window("talk")])[Window("talk")][0].timestamp,
    ]

    assert {moment.isoformat() for moment in moments} == {"2024-02-28T21:19:05.678901+00:00"}
    assert all(moment == samples.MOMENT and moment.tzinfo is UTC for moment in moments)
    assert datetime(2024, 2, 28, 21, 19, 5, 678_901, tzinfo=UTC) == samples.MOMENT
