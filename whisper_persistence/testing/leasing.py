"""Leases: one of several processes works off what a follower has not seen, and another one after it."""

from __future__ import annotations

import time
from pathlib import Path

import attrs

from whisper_persistence.records import Follower, Lease, Strategy
from whisper_persistence.store import Store
from whisper_persistence.testing.base import Conformance, needs

#: Seconds within which a lease of `_SHORT` seconds must have run out, on a machine that does much else.
_PATIENCE = 60.0
_SHORT = 0.05


def _ask(store: Store, holder: str, seconds: float = 600.0, fence: int = 0, note: str = "") -> Lease:
    lease: Lease | None = store.chain.hook.lease_follower(lease=Lease("f", holder, fence, seconds, note))
    assert lease is not None, "nobody gives leases"
    return lease


def _inherit(store: Store, holder: str) -> Lease:
    """Return a lease that another one let run out."""
    deadline = time.monotonic() + _PATIENCE
    while (lease := _ask(store, holder)).holder != holder:
        assert lease.seconds <= _SHORT, f"the lease of {lease.holder} lasts longer than it was asked for"
        assert time.monotonic() < deadline, f"the lease of {lease.holder} does not run out"
        time.sleep(_SHORT)
    return lease


@needs("leases")
class LeaseConformance(Conformance):
    """What `lease_follower` gives to whom, and what `clear_pending` refuses to whom it was taken from."""

    def test_one_has_a_lease_at_a_time(self, store: Store) -> None:
        first = _ask(store, "one")
        second = _ask(store, "two")

        assert (first.holder, second.holder, second.fence) == ("one", "one", first.fence)
        assert 0.0 < second.seconds <= first.seconds == 600.0
        assert _ask(store, "one").fence == first.fence

    def test_a_lease_that_was_given_back_is_the_next_ones_with_its_note(self, store: Store) -> None:
        first = _ask(store, "one")
        _ask(store, "one", fence=first.fence, note="done so far")
        assert _ask(store, "two", 0.0).holder == "one"
        free = _ask(store, "one", 0.0)
        second = _ask(store, "two")

        assert (free.holder, free.note) == ("", "done so far")
        assert (second.holder, second.note, second.fence > first.fence) == ("two", "done so far", True)

    def test_a_lease_that_ran_out_is_the_next_ones_and_its_last_holder_is_told(self, store: Store) -> None:
        first = _ask(store, "one", _SHORT)
        second = _inherit(store, "two")
        late = _ask(store, "one", fence=first.fence, note="late")

        assert second.fence > first.fence
        assert (late.holder, late.fence, late.note) == ("two", second.fence, "")
        assert _ask(store, "two", 0.0).note == ""

    @needs("strategies", "followers")
    def test_what_is_cleared_under_an_older_fence_stays(self, store: Store) -> None:
        store.register_follower(Follower("f", ("strategies",)))
        first = _ask(store, "one", _SHORT)
        store.save_strategies([Strategy("alice", "a")])
        (work,) = store.load_pending("f", 10)
        second = _inherit(store, "two")

        assert store.clear_pending([attrs.evolve(work, fence=first.fence)]) == 0
        assert store.load_pending("f", 10) == (work,)
        assert store.clear_pending([attrs.evolve(work, fence=second.fence)]) == 1
        assert store.load_pending("f", 10) == ()

    @needs("durable")
    def test_a_lease_and_its_fence_outlive_the_store(self, path: Path) -> None:
        with self.open_store(path) as store:
            first = _ask(store, "one")
            _ask(store, "one", fence=first.fence, note="kept")
        with self.open_store(path) as store, self.open_store(path, "another") as other:
            second = _ask(store, "two")

            assert (second.holder, second.fence, second.note) == ("one", first.fence, "kept")
            assert _ask(other, "two").holder == "two"
            _ask(store, "one", 0.0)
            assert _ask(store, "two").fence > first.fence
