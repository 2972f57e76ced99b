"""The driver itself, over a real server, in every order of steps that seeds can find: no read is ever stale.

And each rule of the argument in `whisper_persistence_drivers.redis_hybrid` is needed: without it, a seed finds a fault.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.redis_cache import scripts
from whisper_persistence_drivers.redis_cache.exchange import Script
from whisper_persistence_drivers.redis_cache.following import Relay
from whisper_persistence_drivers.redis_cache.near import Held, Near
from whisper_persistence_drivers.redis_cache.reading import Reader
from whisper_persistence_drivers.redis_cache.recents import BEYOND, Hit
from whisper_persistence_drivers.redis_cache.written import Written

from whisper_persistence import StorageDamagedError
from whisper_persistence.records import Thing, Window

sys.path.insert(0, str(Path(__file__).parent))

from redis_stepping import World

#: How many seeds are tried; the same ones at each run.
SEEDS = 3_000 if os.environ.get("TEST_TIER") == "full" else 40


def search(world: World, seeds: int, jobs: Sequence[Sequence[str]] = ()) -> tuple[int, str] | None:
    """Return the first seed that finds a fault, and the fault."""
    for seed in range(seeds):
        try:
            world.run(seed, jobs)
        except (AssertionError, StorageDamagedError) as error:
            return seed, str(error).splitlines()[0]
    return None


@pytest.mark.parametrize(
    "options",
    [{"near_bytes": 0}, {}, {"near_bytes": 0, "staleness": 3600.0}, {"staleness": 3600.0}],
    ids=["strict", "strict near", "bounded", "bounded near"],
)
def test_no_order_of_steps_shows_what_never_was(options, tmp_path, private_redis):
    """Strictly, a read shows what was there during the read; otherwise what was there since its process last wrote."""
    with World.begin(tmp_path / "memory.db", private_redis, **options) as world:
        assert search(world, SEEDS) is None
        assert sum(world.life(process).exchange.counters.hits for process in (0, 1)) > SEEDS / 3


def test_no_restart_with_an_old_snapshot_brings_anything_back(tmp_path, private_redis):
    with World.begin(tmp_path / "memory.db", private_redis, "save", "restart") as world:
        assert search(world, SEEDS // 10) is None


def without(script: str, line: str, instead: str = "") -> Callable[[pytest.MonkeyPatch], None]:
    """Return what takes a line out of a script."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        body = getattr(scripts, script).body
        assert line in body
        monkeypatch.setattr(scripts, script, Script(body.replace(line, instead)))

    return patch


def believe_old_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READ", "FILL", "APPEND", "DROP", "CONFIRM"):
        without(name, "if born ~= run then", "if false then")(monkeypatch)


def unread_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Reader._ask

    def trust(self: Reader, wanted: Any, known: Any) -> Any:
        found, revisions = ask(self, wanted, known)
        labels = {name: hit.revision for name, hit in found.items() if isinstance(hit, Hit)}
        return found, {**revisions, **labels}

    monkeypatch.setattr(Reader, "_ask", trust)


def unread_revisions_near(monkeypatch: pytest.MonkeyPatch) -> None:
    find = Near.find

    def trust(self: Near, wanted: Any) -> Any:
        return {name: attrs.evolve(held, confirmed=float("inf")) for name, held in find(self, wanted).items()}

    monkeypatch.setattr(Near, "find", trust)


def read_before_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    refill = Reader.refill

    def late(self: Reader, leases: Any, _: Any) -> Any:
        limit = self.recents.limits.recent + 1
        pages = self.below.load_messages(windows=[Window(name, limit) for name in leases])
        return refill(attrs.evolve(self, below=_Answering(self.below, load_messages=pages)), leases, {})

    monkeypatch.setattr(Reader, "refill", late)


def read_after_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    refill = Reader.refill

    def early(self: Reader, leases: Any, _: Any) -> Any:
        asked = self.below.load_revisions(things=[Thing("conversation", name) for name in leases])
        return refill(attrs.evolve(self, below=_Answering(self.below, load_revisions=asked)), leases, {})

    monkeypatch.setattr(Reader, "refill", early)


class _Answering:
    """The hooks below, of which one was asked before."""

    def __init__(self, below: Any, **answers: Any) -> None:
        self._below, self._answers = below, answers

    def __getattr__(self, hook: str) -> Any:
        if hook in self._answers:
            return lambda **_: self._answers[hook]
        return getattr(self._below, hook)


def clear_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def relay(below: Any) -> Any:
        clear = below.clear_pending
        below.clear_pending = lambda pending: clear(pending=[attrs.evolve(work, revision=BEYOND) for work in pending])
        return below

    batch = Relay._batch

    def greedy(self: Relay) -> Any:
        return batch(attrs.evolve(self, below=relay(_Answering(self.below))))

    monkeypatch.setattr(Relay, "_batch", greedy)


def clear_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: Relay) -> Any:
        pending = self.below.load_pending(follower=self.follower, limit=500) or ()
        self.below.clear_pending(pending=pending)
        return 0, True, False

    monkeypatch.setattr(Relay, "_batch", careless)


def append_near_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    appended = Held.appended

    def careless(self: Held, changes: Any, *others: Any) -> Any:
        return appended(attrs.evolve(self, revision=changes[0][0] - 1), changes, *others)

    monkeypatch.setattr(Held, "appended", careless)


def forget_own_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Written, "are_in", lambda *_: True)


TALKING = ("append", "read", "append", "read")
LATE = (("append", "read"), ("clear",), ("relay",))

#: Each rule, how it is taken away, and who has to do what for it to matter.
RULES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Sequence[Sequence[str]]]] = {
    "cas of an append": (
        without("APPEND", "revision ~= current + 1 or "),
        (TALKING, ("clear", "append"), ("read", "append", "read")),
    ),
    "cas of an append near": (append_near_anyway, (TALKING, ("clear", "append"), ("read", "append", "read"))),
    "known to be new": (without("APPEND", " or ARGV[i + 1] == ''"), (TALKING, ("append", "repeat", "repeat"))),
    "cas of a fill": (without("FILL", "if tonumber(ARGV[2]) < tonumber(rev) then", "if false then"), LATE),
    "fence": (
        without("FILL", "if not raw or kind ~= 'l' or token ~= ARGV[1] then return 'refused' end", "rev = '0'"),
        LATE,
    ),
    "flush_on_restart": (believe_old_lives, (("append", "read", "save", "clear", "relay", "restart"),)),
    "rev_read": (unread_revisions, (TALKING, TALKING)),
    "rev_read near": (unread_revisions_near, (TALKING, TALKING)),
    "revision after reading": (read_before_revision, (TALKING, ("append", "append"))),
    "revision before reading": (read_after_revision, (TALKING, ("append", "append"), ("append", "clear", "read"))),
    "own near": (forget_own_writes, (TALKING, ("read", "read"), ("edit", "read", "edit", "read"))),
    "clear_by_rev": (clear_everything, (("append", "read", "read"), ("clear", "append", "clear"), ("relay", "relay"))),
    "state_push": (clear_untold, (TALKING, ("append", "clear"), ("relay", "relay"))),
}


#: The rules whose need takes longest to find.
SLOW = (
    "rev_read near",
    "own near",
    "revision after reading",
    "revision before reading",
    "clear_by_rev",
    "state_push",
)


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=[pytest.mark.long] * (rule in SLOW)) for rule in RULES])
def test_each_rule_is_needed(rule, tmp_path, private_redis, monkeypatch):
    take_away, jobs = RULES[rule]
    take_away(monkeypatch)
    near = 1_000_000 if rule.endswith("near") else 0
    staleness = 3600.0 if rule.startswith("own") else 0.0
    with World.begin(tmp_path / "memory.db", private_redis, near_bytes=near, staleness=staleness) as world:
        assert search(world, 3_000, jobs) is not None
