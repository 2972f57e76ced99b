"""A store under test and the reference side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from whisper_persistence.plugins import Chain
from whisper_persistence.records import Receipt
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.model import ModelDriver


class ComparedStores(RuleBasedStateMachine):
    """Two stores that must give the same answers.

    Attributes:
        claimed: what the driver under test claims.
        opened: opens the store under test; called again, it is a restart.
        real: the store under test.
        model: the reference.
        ahead: by how much the revision of a thing is ahead of the reference's, since an erase may raise it by more.
        fresh: hooks and changes that were applied since the last erase.
    """

    claimed: frozenset[str]

    def __init__(self) -> None:
        super().__init__()
        self.opened = self.begin()
        self.real = self.opened()
        self.model = Store(Chain.of({"model": ModelDriver()}))
        self.ahead: dict[tuple[str, str], int] = {}
        self.fresh: list[Any] = []

    def begin(self) -> Callable[[], Store]:
        """Return what opens the store of this example."""
        raise NotImplementedError

    def teardown(self) -> None:
        """Close both stores."""
        self.real.close()
        self.model.close()

    def write(self, hook: str, batch: Sequence[Any]) -> None:
        """Write one batch to both stores and compare the receipts."""
        real, model = getattr(self.real, hook)(batch), getattr(self.model, hook)(batch)
        kind = "conversation" if hook.endswith("_messages") else "user"
        things = [getattr(item, f"{kind}_id") for item in batch]
        self.compare_receipts(things, kind, real, model)
        for thing in dict.fromkeys(things):
            self.compare_reads(thing, thing)
        if hook.startswith("update_"):
            self.fresh += [(hook, change) for change in batch]

    def compare_reads(self, user: str, talk: str) -> None:
        """Demand that all that is shown of one user and one conversation is what the reference shows."""
        real, model = (samples.read(store, self.claimed, user, talk) for store in (self.real, self.model))

        assert sorted(real) == sorted(model), f"what there is of user {user!r} and conversation {talk!r}"
        for name, found in real.items():
            assert samples.same(found, model[name]), name

    def compare_receipts(
        self, things: Sequence[str], kind: str, real: Sequence[Receipt], model: Sequence[Receipt]
    ) -> None:
        """Demand that revisions grow as the reference's do; an erase may have raised them by more."""
        assert len(real) == len(model) == len(things)
        for thing, found, expected in zip(things, real, model, strict=True):
            ahead = self.ahead.setdefault((kind, thing), found.revision - expected.revision)

            assert ahead >= 0, f"the revision of {thing!r} was set back"
            assert found.revision == expected.revision + ahead, f"the revision of {thing!r} is not one more a change"
            assert (found.sequence is None) == (expected.sequence is None), f"{thing!r}: a sequence where none belongs"
