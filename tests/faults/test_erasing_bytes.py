"""No byte of an erased user is left in any file of any tier; every other user's data is what it was.

A tier is added by one more entry in `TIERS`: how its store is opened, which folders hold its files, and what its
documentation says is to be done before they are looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from fault_tools.documented_postgres import ask, documented_postgres, run_documented

from whisper_persistence import Store
from whisper_persistence.errors import NotSupportedError
from whisper_persistence.operations import ErasureReceipt, erase_users
from whisper_persistence.records import Follower
from whisper_persistence.records.maintenance import TierReport
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.markers import MARK, USER, contents, find_markers, plant

FOLLOWER = Follower("index", ("strategies", "outcomes", "scores", "patterns", "messages", "conversations"))


@attrs.frozen
class Tier:
    """One chain and its files.

    Attributes:
        open: opens its store.
        folders: where its files are.
        ready: what is to be done before no byte is left, as the documentation says.
    """

    open: Callable[[], Store]
    folders: tuple[Path, ...]
    ready: Callable[[], None] = lambda: None


def sqlite(request: pytest.FixtureRequest, folder: Path) -> Tier:
    url = f"sqlite:///{folder}/memory.db"
    return Tier(lambda: Store.from_settings(url=url), (folder,))


def jsonl(request: pytest.FixtureRequest, folder: Path) -> Tier:
    pytest.importorskip("whisper_persistence_jsonl", reason="contrib/whisper-persistence-jsonl is not installed")
    options = {"sqlite": {"path": str(folder / "memory.db")}, "jsonl": {"directory": str(folder / "talks")}}
    return Tier(lambda: Store.from_settings(drivers=["jsonl", "sqlite"], options=options), (folder,))


def postgres(request: pytest.FixtureRequest, folder: Path) -> Tier:
    return server(request, rewrite_on_erase=True)


def postgres_by_hand(request: pytest.FixtureRequest, folder: Path) -> Tier:
    return server(request, rewrite_on_erase=False)


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """A server on which nobody else leaves markers, set up as the page on privacy says."""
    with documented_postgres() as url:
        yield url


def server(request: pytest.FixtureRequest, *, rewrite_on_erase: bool) -> Tier:
    """A schema of its own on a server whose files are at hand."""
    url = request.getfixturevalue("own_server")
    schema = "whisper_persistence" if not rewrite_on_erase else "rewritten"
    own = {"url": url, "schema": schema, "statement_timeout": 60.0, "rewrite_on_erase": rewrite_on_erase}
    ready = (lambda: None) if rewrite_on_erase else lambda: run_documented(url, "DELETE")
    place = Path(ask(url, "SHOW data_directory"))
    return Tier(lambda: Store.from_settings(drivers=["postgres"], options={"postgres": own}), (place,), ready)


TIERS = {"sqlite": sqlite, "jsonl": jsonl, "postgres": postgres, "postgres by hand": postgres_by_hand}


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Tier:
    """One tier after the other."""
    folder = tmp_path / "files"
    folder.mkdir()
    return TIERS[request.param](request, folder)


def follow(store: Store) -> int:
    """Be the follower that sees what changed, and return how much that was."""
    seen = 0
    try:
        while pending := store.load_pending(FOLLOWER.name, 500):
            store.clear_pending(pending)
            seen += len(pending)
    except NotSupportedError:
        return 0
    return seen


def nothing(*_: Any) -> None:
    """Be told of the work and say nothing."""


def erased(store: Store) -> ErasureReceipt:
    receipt = erase_users(store, [USER], nothing)

    assert receipt.is_complete(), receipt.checks
    assert sum(count for report in receipt.tiers for count in report.counts.values()) > 300
    return receipt


def test_no_byte_of_an_erased_user_is_left(tier, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with tier.open() as store:
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        plant(store, turns=80)
        store.register_follower(FOLLOWER)
        plant(store, f"{MARK}-again", 3)
        before = contents(store)
        planted = find_markers(tier.folders)
        receipt = erase_users(store, [USER, f"{MARK}-again"], nothing)
        receipt.save(tmp_path / "receipt.json")
        follow(store)
        tier.ready()
        after = find_markers(tier.folders)

        assert receipt.is_complete(), receipt.checks
        assert sum(planted.values()) > 10_000
        assert contents(store, f"{MARK}-again") == {
            kind: [r for r in rows if MARK.encode() not in r] for kind, rows in before.items()
        }
    assert after == {}
    assert find_markers(tier.folders) == {}
    assert find_markers([tmp_path]) == {}
    assert MARK not in caplog.text


def test_pending_work_names_the_user_until_followers_have_seen_it_and_no_longer(tmp_path):
    tier = sqlite(None, tmp_path)  # type: ignore[arg-type]
    with tier.open() as store:
        store.register_follower(FOLLOWER)
        plant(store, turns=20)
        report: TierReport = erased(store).tiers[0]

        assert "pending work of index" in report.remaining[0]
        assert find_markers(tier.folders)
        assert follow(store) > 100
        assert find_markers(tier.folders) == {}
