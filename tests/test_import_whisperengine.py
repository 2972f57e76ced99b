"""What an earlier attempt left in WhisperEngine's database is brought in once, and the database is only read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from whisper_persistence import OutcomeQuery, StorageUnavailableError, Store
from whisper_persistence.cli import main
from whisper_persistence.errors import ConfigurationError, StorageDamagedError
from whisper_persistence.operations import import_whisperengine
from whisper_persistence.records import Statistics, StrategyChange
from whisper_persistence.settings import Settings

PRIVATE = "nobody-may-read-this"
ENTRY = {
    "intervention_id": "alice_intervention_1",
    "intervention_style": "gentle_check_in",
    "effectiveness_score": 0.8,
    "outcome_type": "successful",
    "timestamp": "2025-09-10T08:00:00",
}

#: One row a user, JSON decoded by the driver, times without a zone.
DECODED = """
CREATE TABLE user_support_strategies (
    strategy_id VARCHAR(100) PRIMARY KEY, user_id VARCHAR(255) NOT NULL, user_preferences JSONB,
    effective_approaches JSONB, approaches_to_avoid TEXT[], optimal_timing JSONB, communication_style VARCHAR(50),
    support_history JSONB, usage_count INTEGER, success_rate NUMERIC(3,2), last_updated TIMESTAMP);
CREATE TABLE user_emotional_profiles (user_id VARCHAR(255), mood_category TEXT, created_at TIMESTAMP);
CREATE TABLE support_strategy_history (id SERIAL, user_id VARCHAR(255), intervention_id TEXT, approach TEXT,
    effectiveness REAL, outcome TEXT, created_at TIMESTAMPTZ);
CREATE TABLE user_memory_statistics (user_id VARCHAR(255) PRIMARY KEY, total_memories_scored INTEGER,
    average_importance DOUBLE PRECISION, importance_weights JSONB, factor_averages JSONB, updated_at TIMESTAMP);
CREATE TABLE memory_importance_patterns (user_id VARCHAR(255), pattern_type VARCHAR(50), pattern_name VARCHAR(255),
    frequency_count INTEGER, confidence_score DOUBLE PRECISION, pattern_keywords JSONB, first_seen TIMESTAMP);
"""
#: Everything as text, fields nested in one, other names.
TEXTUAL = """
CREATE TABLE user_support_strategies (id SERIAL, user_id TEXT, strategy_data TEXT, updated_at TEXT);
CREATE TABLE user_memory_statistics (user_id TEXT, total_memories INTEGER, average_importance_score TEXT,
    max_importance_score TEXT, factor_averages TEXT);
CREATE TABLE memory_importance_patterns (id SERIAL, user_id TEXT, pattern_type TEXT, pattern_key TEXT, keywords TEXT,
    frequency TEXT, confidence TEXT, importance TEXT);
"""


@pytest.fixture
def store(tmp_path: Path, migrated_file: None) -> Iterator[Store]:
    with Store.from_settings(Settings(options={"sqlite": {"path": str(tmp_path / "memory.db")}})) as opened:
        yield opened


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())


def put(url: str, table: str, **columns: Any) -> None:
    row = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in columns.items()}
    names, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})".encode(), row)  # noqa: S608


def everything(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        asked = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        names = [name for (name,) in connection.execute(asked)]
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1".encode()).fetchall() for name in names}  # noqa: S608


def fill_decoded(url: str) -> None:
    run(url, DECODED)
    put(
        url,
        "user_support_strategies",
        strategy_id="alice_strategy",
        user_id="alice",
        user_preferences={"tea": True, "note": PRIVATE},
        effective_approaches='["gentle_check_in"]',
        approaches_to_avoid=["direct_support", "direct_support"],
        optimal_timing={"any": "flexible"},
        communication_style="adaptive",
        support_history=json.dumps([ENTRY, {"odd": 1}]),
        usage_count=0,
        success_rate=0.5,
        last_updated="2025-09-12 10:00:00",
    )
    put(url, "user_emotional_profiles", user_id="alice", mood_category="calm", created_at="2025-09-01 00:00:00")
    put(
        url,
        "support_strategy_history",
        user_id="alice",
        intervention_id="alice_intervention_1",
        approach="skill_building",
        effectiveness=0.25,
        outcome="ineffective",
        created_at="2025-09-11 10:00:00+02",
    )
    put(
        url,
        "user_memory_statistics",
        user_id="alice",
        total_memories_scored=4,
        average_importance=0.75,
        importance_weights={"recency": 1.6},
        factor_averages={"recency": 0.5},
        updated_at="2025-09-12 10:00:00",
    )
    put(
        url,
        "memory_importance_patterns",
        user_id="alice",
        pattern_type="emotional",
        pattern_name="joy",
        frequency_count=3,
        confidence_score=1.23,
        pattern_keywords='["river"]',
        first_seen="2025-09-01 00:00:00",
    )


def test_tables_with_decoded_json_are_taken(store: Store, postgres_url: str) -> None:
    fill_decoded(postgres_url)
    before = everything(postgres_url)
    reports = import_whisperengine(store, postgres_url)
    strategy, statistics = store.load_strategies(["alice"])["alice"], store.load_statistics(["alice"])["alice"]
    (pattern,) = store.load_patterns(["alice"])["alice"]
    query = OutcomeQuery("alice")
    outcomes = store.load_outcomes([query])[query]

    assert everything(postgres_url) == before
    assert {table: (report.rows, report.taken) for table, report in reports.items()} == dict.fromkeys(before, (1, 1))
    assert strategy.effective_approaches == ("gentle_check_in",)
    assert strategy.approaches_to_avoid == ("direct_support", "skill_building")
    assert (strategy.communication_style, strategy.optimal_timing) == ("casual", {})
    assert reports["user_support_strategies"].left == {"placeholders for values lost when they were saved": 2}
    assert strategy.user_preferences == {"tea": True, "note": PRIVATE}
    assert strategy.last_updated == datetime(2025, 9, 12, 10, tzinfo=UTC)
    assert strategy.extra == {
        "user_emotional_profiles": {"mood_category": "calm"},
        "user_support_strategies": {"usage_count": 0, "success_rate": 0.5},
    }
    assert [(o.intervention_style, o.timestamp) for o in outcomes] == [
        ("skill_building", datetime(2025, 9, 11, 8, tzinfo=UTC)),
        ("gentle_check_in", datetime(2025, 9, 10, 8, tzinfo=UTC)),
    ]
    assert strategy.support_history[0] == {"odd": 1}
    assert strategy.support_history[1]["intervention_style"] == "gentle_check_in"
    assert (statistics.total_memories_scored, statistics.average_importance()) == (4, 0.75)
    assert statistics.factor_averages() == {"recency": 0.5}
    assert statistics.extra == {"importance_weights": {"recency": 1.6}}
    assert abs(sum(statistics.weights().values()) - 1) < 1e-9
    assert statistics.adjustments == 0
    assert (pattern.pattern_id, pattern.frequency, pattern.confidence(), pattern.keywords) == (
        "joy",
        3,
        1.0,
        ("river",),
    )
    assert pattern.first_seen == pattern.last_seen == datetime(2025, 9, 1, tzinfo=UTC)


def fill_textual(url: str) -> None:
    run(url, TEXTUAL)
    data = {
        "effective_approaches": '["gentle_check_in"]',
        "approaches_to_avoid": {"direct_support": 3},
        "communication_style": "gentle",
        "optimal_timing": "evening",
        "support_history": json.dumps([ENTRY]),
        "shoe_size": 43,
    }
    put(url, "user_support_strategies", user_id="bob", strategy_data=data, updated_at="2025-09-12T10:00:00+00:00")
    newer = {"communication_style": "direct", "effective_approaches": ["skill_building"], "strategy_id": "mine"}
    put(url, "user_support_strategies", user_id="bob", strategy_data=newer, updated_at="2025-09-13T10:00:00+00:00")
    put(url, "user_support_strategies", user_id="carol", strategy_data="not json", updated_at="yesterday")
    put(url, "user_support_strategies", user_id=None, strategy_data="{}", updated_at=None)
    put(url, "user_support_strategies", user_id="x" * 600, strategy_data="{}", updated_at=None)
    values = {"total_memories": 2, "average_importance_score": "0.5", "max_importance_score": "7"}
    put(url, "user_memory_statistics", user_id="bob", factor_averages="{", **values)
    put(
        url,
        "memory_importance_patterns",
        user_id="bob",
        pattern_type="topic",
        pattern_key="tea",
        keywords="tea",
        frequency="3",
        confidence="NaN",
        importance="0.5",
    )
    put(url, "memory_importance_patterns", user_id="bob", pattern_type="topic", pattern_key="tea")
    put(url, "memory_importance_patterns", user_id="bob", pattern_type="topic", pattern_key="y" * 600)


def test_tables_with_text_and_other_names_are_taken(store: Store, postgres_url: str) -> None:
    fill_textual(postgres_url)
    reports = import_whisperengine(store, postgres_url)
    bob, carol = (store.load_strategies(["bob", "carol"])[user] for user in ("bob", "carol"))
    statistics = store.load_statistics(["bob"])["bob"]
    (pattern,) = store.load_patterns(["bob"])["bob"]
    left = {table: dict(report.left) for table, report in reports.items()}

    assert bob.effective_approaches == ("gentle_check_in", "skill_building")
    assert bob.approaches_to_avoid == ("direct_support",)
    assert (bob.communication_style, bob.optimal_timing) == ("direct", {"preferred": "evening"})
    assert (bob.extra["strategy_id"], bob.interventions) == ("mine", 1)
    assert carol.extra["user_support_strategies"]["strategy_data"] == "not json"
    assert (statistics.average_importance(), statistics.maximum, statistics.factor_sums) == (0.5, 1.0, {})
    assert (pattern.frequency, pattern.confidence(), pattern.importance()) == (3, 0.0, 0.5)
    assert left["user_support_strategies"]["user_id is missing"] == 1
    assert sum(left["user_support_strategies"].values()) == 2
    assert left["memory_importance_patterns"]["known here already"] == 1
    assert reports["memory_importance_patterns"].taken == 1


@pytest.mark.parametrize("fill", [fill_decoded, fill_textual])
def test_twice_is_once(store: Store, postgres_url: str, fill: Any) -> None:
    fill(postgres_url)
    import_whisperengine(store, postgres_url)
    kinds: tuple[Any, ...] = ("strategies", "outcomes", "statistics", "patterns")
    before = {kind: store.scan(kind, None, 100).records for kind in kinds}
    reports = import_whisperengine(store, postgres_url)

    assert {kind: store.scan(kind, None, 100).records for kind in kinds} == before
    assert all(report.taken == 0 for report in reports.values())


def test_what_was_learned_since_is_left_as_it_is(store: Store, postgres_url: str) -> None:
    fill_decoded(postgres_url)
    store.update_strategies([StrategyChange("alice", communication_style="gentle")])
    store.save_statistics([Statistics("alice", total_memories_scored=1)])
    reports = import_whisperengine(store, postgres_url)

    assert store.load_strategies(["alice"])["alice"].effective_approaches == ()
    assert store.load_statistics(["alice"])["alice"].total_memories_scored == 1
    assert reports["user_support_strategies"].left["known here already"] == 1
    assert reports["memory_importance_patterns"].taken == 1


def test_more_outcomes_than_one_change_holds(store: Store, postgres_url: str) -> None:
    run(postgres_url, DECODED)
    run(
        postgres_url,
        "INSERT INTO support_strategy_history (user_id, intervention_id, approach, effectiveness, created_at) "
        "SELECT 'u', 'i' || n, 'gentle', 0.9, '2025-01-01'::timestamptz + n * interval '1 minute' "
        "FROM generate_series(1, 2500) n",
    )
    import_whisperengine(store, postgres_url)

    assert store.load_strategies(["u"])["u"].interventions == 2500
    assert store.load_strategies(["u"])["u"].support_history[-1]["intervention_id"] == "i2500"


def test_tables_of_our_own_and_databases_without_any_are_nothing_to_take(store: Store, postgres_url: str) -> None:
    assert import_whisperengine(store, postgres_url) == {}
    run(postgres_url, "CREATE TABLE user_support_strategies (namespace TEXT, user_id TEXT)")
    run(postgres_url, "INSERT INTO user_support_strategies VALUES ('default', 'u')")
    reports = import_whisperengine(store, postgres_url)

    assert reports["user_support_strategies"].left == {"not a table of the earlier attempt: it has a namespace": 1}
    assert store.load_strategies(["u"]) == {}


def test_the_same_database_may_be_source_and_destination(postgres_url: str) -> None:
    fill_decoded(postgres_url)
    before = everything(postgres_url)
    with Store.from_settings(url=postgres_url) as store:
        import_whisperengine(store, postgres_url)

        assert store.load_strategies(["alice"])["alice"].interventions == 2
    assert everything(postgres_url) == before


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("sqlite:///x.db", ConfigurationError),
        ("mysql://u:s3cret@h/d", ConfigurationError),
        ("postgresql://u:s3cret@h/d?nonsense=1", ConfigurationError),
        ("postgresql://u:s3cret@127.0.0.1:1/d", StorageUnavailableError),
    ],
)
def test_a_database_that_cannot_be_read_is_said_without_its_url(store: Store, url: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        import_whisperengine(store, url)

    assert "s3cret" not in str(caught.value)


def test_what_no_program_can_read_is_said(store: Store, postgres_url: str) -> None:
    fill_decoded(postgres_url)
    run(postgres_url, "UPDATE user_memory_statistics SET updated_at = 'infinity'")
    with pytest.raises(StorageDamagedError, match="DataError"):
        import_whisperengine(store, postgres_url)


def test_the_command(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WHISPER")]:
        monkeypatch.delenv(name)
    fill_decoded(postgres_url)
    command = ["--url", f"sqlite:///{tmp_path}/memory.db", "import", "--from-whisperengine", postgres_url]
    first, second = (CliRunner().invoke(main, [*command, *more]) for more in ([], ["--json"]))
    neither = CliRunner().invoke(main, [*command[:2], "import"])

    assert first.exit_code == second.exit_code == 0
    assert "user_support_strategies: 1 of 1 rows taken" in first.output
    assert PRIVATE not in first.output
    assert msgspec.json.decode(second.stdout)["user_memory_statistics"] == {
        "rows": 1,
        "taken": 0,
        "left": {"known here already": 1},
        "extra": ["importance_weights"],
    }
    assert neither.exit_code == 2
