"""An erase that every tier carried out, and the database was gone before it could be settled, is done and says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import StorageUnavailableError, Store, hookimpl
from whisper_persistence.hookspecs import ErasureSpecs
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples


@attrs.define(eq=False)
class GoesAway(ErasureSpecs):
    """A way to the database that is cut when an erase is to be settled."""

    contract_version: ClassVar[int] = 1

    @hookimpl
    def settle_erasures(self, user_ids: Sequence[str]) -> None:
        raise StorageUnavailableError("planted: away")


def test_an_erase_that_cannot_be_settled_is_done_and_finished_by_the_next_open(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with Store(Chain.of({"goes-away": GoesAway(), "sqlite": SqliteDriver(path)})) as store:
        store.save_messages([samples.message()])
        (report,) = store.erase_users(["alice"])
        left = store.load_strategies(["alice"])
    with Store(Chain.of({"sqlite": SqliteDriver(path)})) as store:
        noted = store._hook.load_erasures()

    assert report.counts["messages"] == 1
    assert "the next open" in report.remaining[-1]
    assert (left, tuple(noted or ())) == ({}, ())
