"""Retention: what the policies say goes, once by hand and again and again beside a bot, and never by a wrong clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from whisper_persistence_drivers import sqlite_scrubbing

from whisper_persistence import (
    AsyncStore,
    ClockMovedError,
    ConfigurationError,
    MemoryScore,
    Message,
    NotSupportedError,
    StatisticsChange,
    StorageUnavailableError,
    Store,
    StrategyChange,
    Window,
    hookimpl,
)
from whisper_persistence.cli import main
from whisper_persistence.clocks import ClockWatch
from whisper_persistence.companion import HybridConversationStorage
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.operations import RetentionTask, apply_retention
from whisper_persistence.plugins import Chain
from whisper_persistence.settings import Rule, StoragePolicies, load_settings
from whisper_persistence.testing import samples
from whisper_persistence.testing.model.driver import ModelDriver

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Machine:
    """A machine's clock, which can be set, and its count of seconds, which cannot."""

    def __init__(self) -> None:
        self.wall, self.seconds, self.boot = NOW, 0.0, "one"

    def pass_by(self, span: timedelta) -> None:
        self.wall += span
        self.seconds += span.total_seconds()

    def restart(self) -> None:
        self.boot, self.seconds = "two", 0.0

    def watch(self, path: Path | None = None) -> ClockWatch:
        return ClockWatch(path, now=lambda: self.wall, elapsed=lambda: self.seconds, boot=self.boot)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def on_sqlite(tmp_path: Path, work: Callable[[AsyncStore], Coroutine[Any, Any, None]], *above: object) -> None:
    async def run() -> None:
        drivers: dict[str, object] = {f"above-{n}": driver for n, driver in enumerate(above)}
        sqlite = build_driver(DriverSpec("sqlite", {"path": str(tmp_path / "memory.db")}))
        async with AsyncStore(Chain.of({**drivers, "sqlite": sqlite})) as store:
            await work(store)

    asyncio.run(run())


async def until(is_true: Callable[[], bool]) -> None:
    while not is_true():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def fill(store: AsyncStore) -> None:
    """Two users, twenty messages and outcomes and scores of each, each a day older than the one before."""
    for user in ("alice", "bob"):
        moments = [NOW - n * DAY for n in range(20)]
        await store.save_messages(
            [
                samples.message("talk", user_id=user, message_id=f"{user} {n}", timestamp=m)
                for n, m in enumerate(moments)
            ]
        )
        outcomes = [samples.outcome(outcome_id=f"o{n}", timestamp=m) for n, m in enumerate(moments)]
        await store.update_strategies([StrategyChange(user, outcomes, timestamp=NOW - 30 * DAY)])
        scores = [MemoryScore(user, f"s{n}", 0.5, calculation_timestamp=m) for n, m in enumerate(moments)]
        await store.update_statistics([StatisticsChange(user, scores, timestamp=NOW - 30 * DAY)])


POLICIES = StoragePolicies(
    (
        Rule("messages", 10 * DAY),
        Rule("messages", 2 * DAY, user_ids=("bob",)),
        Rule("outcomes", None, 5),
        Rule("scores", 3 * DAY),
        Rule("statistics", DAY),
        Rule("strategies", 15 * DAY),
    ),
    held_users=("carol",),
)


@pytest.mark.parametrize("batch", [3, 10_000])
def test_a_run_removes_exactly_what_its_dry_run_counted(tmp_path, machine, batch, monkeypatch):
    vacuums: list[object] = []
    monkeypatch.setattr(sqlite_scrubbing, "_vacuum", vacuums.append)

    async def work(store: AsyncStore) -> None:
        await fill(store)
        await store.save_messages([samples.message("talk", user_id="carol", timestamp=NOW - 400 * DAY)])
        would = await apply_retention(store, POLICIES, dry_run=True, watch=machine.watch())
        assert len((await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]) == 41
        did = await apply_retention(store, POLICIES, watch=machine.watch(), batch=batch, pause=0)
        left = (await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]

        assert [tier.counts for tier in would.tiers] == [tier.counts for tier in did.tiers]
        assert did.tiers[0].counts == {
            "messages": 9 + 17,
            "outcomes": 30,
            "scores": 32,
            "statistics": 0,
            "strategies": 2,
        }
        assert {(m.user_id, m.message_id) for m in left if m.user_id != "carol"} == {
            *(("alice", f"alice {n}") for n in range(11)),
            *(("bob", f"bob {n}") for n in range(3)),
        }
        assert [m.user_id for m in left].count("carol") == 1
        assert len(vacuums) == 4, "once for each kind that lost something, however many calls that took"
        assert (did.total(), did.dry_run, would.dry_run) == (would.total(), False, True)

    on_sqlite(tmp_path, work)


@pytest.mark.parametrize("moved", [timedelta(days=3650), timedelta(days=-3650), timedelta(days=1, seconds=2)])
@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_goes_by_a_clock_that_was_moved(tmp_path, machine, moved, restarted):
    async def work(store: AsyncStore) -> None:
        await fill(store)
        policies = StoragePolicies((Rule("messages", 30 * DAY),))
        path = tmp_path / "state" / "clock.json"
        watch = machine.watch(path)
        await apply_retention(store, policies, watch=watch)
        machine.pass_by(timedelta(hours=1))
        await apply_retention(store, policies, watch=watch)
        machine.wall += moved
        watch = machine.watch(path) if restarted else watch
        for _ in range(2):
            with pytest.raises(ClockMovedError, match="trust-clock"):
                await apply_retention(store, policies, watch=watch)
        assert (await apply_retention(store, policies, dry_run=True, watch=watch)).dry_run
        assert len((await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]) == 40
        watch.note()
        await apply_retention(store, policies, watch=machine.watch(path) if restarted else watch)

    on_sqlite(tmp_path, work)


def test_a_clock_that_passes_as_it_should_is_believed_and_over_a_restart_only_one_that_went_back_is_not(
    tmp_path, machine
):
    path = tmp_path / "clock.json"
    machine.watch(path).note()
    machine.pass_by(90 * DAY)
    assert machine.watch(path).moved() is None
    machine.restart()
    machine.wall += 90 * DAY
    assert machine.watch(path).moved() is None
    machine.wall = NOW - 2 * DAY
    assert machine.watch(path).moved() == -2 * DAY
    machine.wall = NOW - timedelta(hours=23)
    assert machine.watch(path).moved() is None


def test_a_clock_that_cannot_be_noted_is_watched_in_this_process(tmp_path, machine, caplog):
    (tmp_path / "file").write_text("not a folder")
    watch = machine.watch(tmp_path / "file" / "clock.json")
    watch.note()
    machine.wall += 2 * DAY

    assert watch.moved() == 2 * DAY
    assert "in this process only" in caplog.text
    (tmp_path / "clock.json").write_text("{}")
    assert machine.watch(tmp_path / "clock.json").moved() is None


def test_the_real_clock_has_not_moved(tmp_path):
    ClockWatch(tmp_path / "clock.json").note()

    assert ClockWatch(tmp_path / "clock.json").moved() is None


def test_a_task_runs_again_and_again_at_random_times_and_can_be_stopped(tmp_path, machine):
    spans: list[tuple[float, float]] = []

    def chance(low: float, high: float) -> float:
        spans.append((low, high))
        return 0.0 if len(spans) == 1 else low

    async def work(store: AsyncStore) -> None:
        await fill(store)
        policies = StoragePolicies((Rule("messages", 10 * DAY),), every=timedelta(seconds=0.05))
        async with RetentionTask(store, policies, watch=machine.watch(), batch=4, chance=chance) as task:
            await until(lambda: task.runs >= 3)
            told = task.describe()
            assert told["active"]
            assert told["last_error"] is None
            assert told["last_run"] == NOW.isoformat()
            msgspec.json.encode(told)
        assert not task.describe()["active"]
        assert task.describe()["next_run"] is None
        assert spans[:2] == [(0.0, 60.0), (0.9, 1.1)]
        assert len((await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]) == 22
        await task.stop()

    on_sqlite(tmp_path, work)


class Stubborn:
    """A driver above the database whose expiry fails, or takes its time."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    @hookimpl
    def expire(self) -> None:
        self.calls += 1
        if self.error:
            raise self.error


def test_a_run_that_fails_is_told_and_the_next_one_works(tmp_path, machine, caplog):
    stubborn = Stubborn()

    async def work(store: AsyncStore) -> None:
        await fill(store)
        policies = StoragePolicies((Rule("messages", 10 * DAY),), every=timedelta(seconds=0.02))
        stubborn.error = StorageUnavailableError("the test switched the database off")
        task = RetentionTask(store, policies, watch=machine.watch(), first_seconds=0)
        async with task:
            await until(lambda: task.runs >= 2)
            assert "switched" in task.describe()["last_error"]
            stubborn.error = None
            await until(lambda: task.last_report is not None)
            assert task.describe()["last_error"] is None
            assert task.last_report.total() == 18

    with caplog.at_level(logging.WARNING):
        on_sqlite(tmp_path, work, stubborn)
    assert "what expired was not removed" in caplog.text


def test_a_task_without_a_policy_runs_nothing(tmp_path, machine):
    async def work(store: AsyncStore) -> None:
        async with RetentionTask(store, StoragePolicies(), watch=machine.watch()) as task:
            assert task.describe()["active"] is False

    on_sqlite(tmp_path, work)


def test_a_run_that_is_cancelled_has_removed_the_oldest_and_another_goes_on(tmp_path, machine):
    async def work(store: AsyncStore) -> None:
        await fill(store)
        policies = StoragePolicies((Rule("messages", 10 * DAY),))
        run = asyncio.ensure_future(apply_retention(store, policies, watch=machine.watch(), batch=1, pause=0.02))
        while len((await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]) == 40:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert run.cancelled()
        await apply_retention(store, policies, watch=machine.watch())

        assert len((await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]) == 22

    on_sqlite(tmp_path, work)


def test_a_chain_that_cannot_expire_says_so(machine):
    async def work() -> None:
        async with AsyncStore(Chain.of({"model": ModelDriver()})) as store:
            with pytest.raises(NotSupportedError, match="expire"):
                await apply_retention(store, POLICIES, watch=machine.watch())
            with pytest.raises(NotSupportedError, match="expire"):
                await HybridConversationStorage(store, POLICIES).prune()

    asyncio.run(work())


def test_a_bots_conversations_are_pruned_by_the_same_policies(tmp_path, machine):
    async def work(store: AsyncStore) -> None:
        await fill(store)
        storage = HybridConversationStorage(store, POLICIES, now=lambda: machine.wall)
        shown = await storage.recent("talk", 99)
        (would,), (did,) = await storage.prune(dry_run=True), await storage.prune()
        machine.wall += 365 * DAY

        assert would.counts == did.counts == {"messages": 26}
        assert shown == (await store.load_messages([Window("talk", 99)]))[Window("talk", 99)]
        with pytest.raises(ClockMovedError):
            await storage.prune()

    on_sqlite(tmp_path, work)


def settings_file(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(
        f'[whisper-persistence]\nurl = "sqlite:///{tmp_path}/memory.db"\n[whisper-persistence.retention]\n{more}',
        encoding="utf-8",
    )
    return path


def test_policies_are_read_from_a_file(tmp_path):
    more = """
held_users = ["carol"]
every = "30m"
recent_turns = 50
recent_for = "1d"
messages = { max_age = "365d", max_per_thing = 1000 }
outcomes = { max_age = 3600 }
[whisper-persistence.retention.users.bob]
messages = { max_age = "2w" }
[whisper-persistence.retention.users.eve]
messages = { max_age = "2w" }
scores = {}
"""
    policies = load_settings(config=str(settings_file(tmp_path, more))).policies

    assert policies == StoragePolicies(
        (
            Rule("outcomes", timedelta(hours=1)),
            Rule("messages", 365 * DAY, 1_000),
            Rule("messages", 14 * DAY, user_ids=("bob", "eve")),
            Rule("scores", user_ids=("eve",)),
        ),
        ("carol",),
        50,
        DAY,
        timedelta(minutes=30),
    )
    general, own = policies.retentions(NOW, "messages")
    assert (general.user_ids, general.kept_users) == ((), ("carol", "bob", "eve"))
    assert (own.user_ids, own.kept_users, own.max_age) == (("bob", "eve"), ("carol",), 14 * DAY)


def test_how_long_in_redis_is_a_policy_too_unless_the_driver_is_told(tmp_path):
    more = """
recent_turns = 50
recent_for = "1d"
[whisper-persistence.options.redis-hybrid]
ttl = 60
"""
    path = settings_file(tmp_path, more)
    chosen = load_settings(config=str(path), drivers=["redis-hybrid", "sqlite"])

    assert {name: chosen.options["redis-hybrid"][name] for name in ("recent", "ttl")} == {"recent": 50, "ttl": 60}
    assert "recent" not in load_settings(config=str(path)).options["sqlite"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("mesages = {}", "mesages"),
        ("messages = { max_days = 3 }", "max_days"),
        ('messages = { max_age = "soon" }', "messages.max_age"),
        ("messages = { max_age = -1 }", "messages.max_age"),
        ("messages = { max_age = true }", "messages.max_age"),
        ("messages = { max_per_thing = 0 }", "max_per_thing"),
        ("messages = 3", "messages"),
        ('held_users = "carol"', "held_users"),
        ('every = "0s"', "every"),
        ("users = { bob = { every = 1 } }", "users.bob.every"),
    ],
)
def test_a_policy_that_cannot_be_read_is_named(tmp_path, more, named):
    with pytest.raises(ConfigurationError, match=named):
        load_settings(config=str(settings_file(tmp_path, more)))


@pytest.fixture
def expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on a store with ten old messages and one that is held."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = settings_file(tmp_path, 'held_users = ["carol"]\nmessages = { max_age = "1d" }\n')
    with Store.from_settings(config=str(config)) as store:
        users = ["alice"] * 10 + ["carol"]
        store.save_messages([Message("talk", user, user, "old", timestamp=NOW - 90 * DAY) for user in users])

    def run(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(main, ["--config", str(config), "expire", *arguments], **options)

    return run


def test_the_command_counts_asks_and_removes(expire):
    assert "messages      10" in expire("--dry-run").output
    refused = expire(input="n\n")
    assert (refused.exit_code, "Remove 10 records for good?" in refused.output) == (1, True)
    done = expire(input="y\n")
    assert (done.exit_code, "gone" in done.output) == (0, True)
    again = expire()
    assert (again.exit_code, "Remove" in again.output) == (0, False)


def test_the_command_for_machines(expire):
    assert expire("--json").exit_code == 2
    would = msgspec.json.decode(expire("--json", "--dry-run").stdout)
    did = msgspec.json.decode(expire("--json", "--yes").stdout)

    assert would["total"] == did["total"] == 10
    assert would["tiers"]["sqlite"]["counts"] == {"messages": 10}
    assert (would["dry_run"], did["dry_run"]) == (True, False)
    assert msgspec.json.decode(expire("--json", "--yes").stdout)["total"] == 0


def test_the_command_refuses_a_clock_that_was_moved_until_it_is_trusted(expire, tmp_path):
    expire("--yes")
    (noted,) = (tmp_path / "state").rglob("retention-clock.json")
    told = msgspec.json.decode(noted.read_bytes())
    noted.write_bytes(msgspec.json.encode({**told, "wall": (datetime.now(UTC) + 9 * DAY).isoformat()}))
    refused = expire("--yes")

    assert (refused.exit_code, "clock was moved" in refused.output) == (1, True)
    assert expire("--yes", "--trust-clock").exit_code == 0
    assert expire("--yes").exit_code == 0


def test_the_command_without_a_policy_says_where_to_say_one(tmp_path):
    result = CliRunner().invoke(main, ["--url", f"sqlite:///{tmp_path}/memory.db", "expire", "--dry-run"])

    assert (result.exit_code, "kept for ever" in result.output) == (1, True)
