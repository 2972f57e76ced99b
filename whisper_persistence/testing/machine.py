"""Any sequence of hooks gives the same answers from a driver and from the reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from whisper_persistence.plugins import Chain
from whisper_persistence.records import ClearMark, Message, OutcomeQuery, Receipt, ScoreQuery, Window
from whisper_persistence.store import Store
from whisper_persistence.testing import arbitrary as some
from whisper_persistence.testing import samples
from whisper_persistence.testing.declared import kinds_of
from whisper_persistence.testing.model import ModelDriver
from whisper_persistence.testing.scanning import scan_all


def claims(capability: str) -> Any:
    """Return a precondition: the driver claims a capability."""
    return precondition(lambda machine: capability in machine.claimed)


def batches(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return batches of one to four items."""
    return st.lists(items, min_size=1, max_size=4)


class StoreMachine(RuleBasedStateMachine):
    """One store under test and the reference, asked the same.

    Attributes:
        claimed: what the driver claims.
        opened: opens the store under test; called again, it is a restart.
    """

    claimed: frozenset[str]
    opened: Callable[[], Store]

    def __init__(self) -> None:
        super().__init__()
        self.real = type(self).opened()
        self.model = Store(Chain.of({"model": ModelDriver()}))
        self.ahead: dict[tuple[str, str], int] = {}
        self.fresh: list[Any] = []

    def teardown(self) -> None:
        """Close both stores."""
        self.real.close()
        self.model.close()

    @claims("strategies")
    @rule(batch=batches(some.strategies))
    def save_strategies(self, batch: list[Any]) -> None:
        """Put whole strategies."""
        self.write("save_strategies", batch)

    @claims("strategies")
    @rule(batch=batches(some.strategy_changes))
    def update_strategies(self, batch: list[Any]) -> None:
        """Learn from outcomes."""
        self.write("update_strategies", batch)

    @claims("statistics")
    @rule(batch=batches(some.statistics))
    def save_statistics(self, batch: list[Any]) -> None:
        """Put whole statistics."""
        self.write("save_statistics", batch)

    @claims("statistics")
    @rule(batch=batches(some.statistics_changes()))
    def update_statistics(self, batch: list[Any]) -> None:
        """Score and forget memories."""
        self.write("update_statistics", batch)

    @claims("statistics")
    @rule(batch=batches(some.patterns))
    def save_patterns(self, batch: list[Any]) -> None:
        """Put whole patterns."""
        self.write("save_patterns", batch)

    @claims("statistics")
    @rule(batch=batches(some.pattern_changes))
    def update_patterns(self, batch: list[Any]) -> None:
        """Observe patterns."""
        self.write("update_patterns", batch)

    @claims("statistics")
    @rule(batch=batches(some.preferences))
    def save_preferences(self, batch: list[Any]) -> None:
        """Put whole preferences."""
        self.write("save_preferences", batch)

    @claims("statistics")
    @rule(batch=batches(some.preference_changes))
    def update_preferences(self, batch: list[Any]) -> None:
        """Set and take back wishes."""
        self.write("update_preferences", batch)

    @claims("conversations")
    @rule(batch=batches(some.messages))
    def save_messages(self, batch: list[Any]) -> None:
        """Append messages, some of them again."""
        self.write("save_messages", batch)

    @claims("conversations")
    @rule(batch=batches(some.edits))
    def edit_messages(self, batch: list[Any]) -> None:
        """Edit and redact messages, some of which are not there."""
        known = {(m.conversation_id, m.message_id) for m in scan_all(self.model, "messages", 100)}
        self.write("update_messages", [each for each in batch if (each.conversation_id, each.message_id) in known])

    @precondition(lambda machine: machine.fresh)
    @rule(choice=st.integers(0, 99))
    def replay(self, choice: int) -> None:
        """Apply a change that was applied before."""
        hook, change = self.fresh[choice % len(self.fresh)]
        self.write(hook, [change])

    @claims("conversations")
    @rule(talk=some.talks, place=st.none() | st.integers(0, 9))
    def clear(self, talk: str, place: int | None) -> None:
        """Clear a conversation, whole or up to one of its messages."""
        marks = [self._mark(store, talk, place) for store in (self.real, self.model)]
        if all(marks):
            real, model = self.real.update_messages(marks[:1]), self.model.update_messages(marks[1:])
            self.compare_receipts([talk], "conversation", real, model)

    @claims("conversations")
    @rule(window=st.builds(Window, some.talks, st.integers(1, 6), user_id=st.none() | some.users), ends=st.data())
    def load_windows(self, window: Window, ends: st.DataObject) -> None:
        """Read windows that begin and end at any message."""
        places = [ends.draw(st.none() | st.integers(0, 9)) for _ in range(2)]
        shown = [self._between(store, window, places) for store in (self.real, self.model)]

        assert samples.same(shown[0], shown[1])

    @claims("erase")
    @rule(users=st.lists(some.users, min_size=1, max_size=2))
    def erase(self, users: list[str]) -> None:
        """Forget users; what they did before is not replayed after."""
        self.real.erase_users(users)
        self.model.erase_users(users)
        self.fresh.clear()
        self.ahead.clear()

    @claims("durable")
    @rule()
    def reopen(self) -> None:
        """Restart."""
        self.real.close()
        self.real = type(self).opened()

    @rule(user=some.users, talk=some.talks, order=st.sampled_from(["top", "recent"]))
    def load_everything(self, user: str, talk: str, order: Any) -> None:
        """Read all that is shown of one user and one conversation, and walk through pages."""
        real, model = (samples.read(store, self.claimed, user, talk) for store in (self.real, self.model))

        assert sorted(real) == sorted(model)
        for name, found in real.items():
            assert samples.same(found, model[name]), name
        if "statistics" in self.claimed:
            assert samples.same(self._scores(self.real, user, order), self._scores(self.model, user, order))
        if "strategies" in self.claimed:
            assert samples.same(self._outcomes(self.real, user), self._outcomes(self.model, user))

    @claims("scan")
    @rule(limit=st.sampled_from([1, 2, 3, 1_000]))
    def scan(self, limit: int) -> None:
        """Walk through every record of every kind."""
        for kind in kinds_of(self.claimed):
            real, model = scan_all(self.real, kind, limit), scan_all(self.model, kind, limit)

            assert sorted(map(samples.exact, real)) == sorted(map(samples.exact, model)), kind

    def write(self, hook: str, batch: Sequence[Any]) -> None:
        """Write one batch to both stores and compare the receipts."""
        real, model = getattr(self.real, hook)(batch), getattr(self.model, hook)(batch)
        kind = "conversation" if hook.endswith("_messages") else "user"
        self.compare_receipts([getattr(item, f"{kind}_id") for item in batch], kind, real, model)
        if hook.startswith("update_"):
            self.fresh += [(hook, change) for change in batch]

    def compare_receipts(
        self, things: Sequence[str], kind: str, real: Sequence[Receipt], model: Sequence[Receipt]
    ) -> None:
        """Demand that revisions grow as the reference's do; an erase may have raised them by more."""
        assert len(real) == len(model) == len(things)
        for thing, found, expected in zip(things, real, model, strict=True):
            ahead = self.ahead.setdefault((kind, thing), found.revision - expected.revision)

            assert ahead >= 0
            assert found.revision - expected.revision == ahead
            assert (found.sequence is None) == (expected.sequence is None)

    def _mark(self, store: Store, talk: str, place: int | None) -> ClearMark | None:
        found = _all(store, talk)
        through = None if place is None or not found else found[place % len(found)].sequence
        return ClearMark(talk, through, samples.MOMENT) if found else None

    def _between(self, store: Store, window: Window, places: list[int | None]) -> Sequence[Message]:
        found = _all(store, window.conversation_id)
        ends = [found[place % len(found)].sequence if place is not None and found else None for place in places]
        asked = attrs.evolve(window, after=ends[0], before=ends[1])
        return store.load_messages([asked]).get(asked, ())

    def _scores(self, store: Store, user: str, order: Any) -> list[Any]:
        query = ScoreQuery(user, order, 2)
        found: list[Any] = []
        while page := store.load_scores([query]).get(query):
            found += page
            query = attrs.evolve(query, after=page[-1])
        return found

    def _outcomes(self, store: Store, user: str) -> list[Any]:
        query = OutcomeQuery(user, 3)
        found: list[Any] = []
        while page := store.load_outcomes([query]).get(query):
            found += page
            query = attrs.evolve(query, before=page[-1].sequence)
        return found


def _all(store: Store, talk: str) -> Sequence[Message]:
    window = Window(talk, 1_000)
    return store.load_messages([window]).get(window, ())


def run_machine(claimed: frozenset[str], opener: Callable[[], Callable[[], Store]]) -> None:
    """Run the state machine.

    Args:
        claimed: what the driver under test claims.
        opener: called for each example, returns what opens (and reopens) a fresh store.
    """

    class Machine(StoreMachine):
        def __init__(self) -> None:
            type(self).opened = staticmethod(opener())
            super().__init__()

    Machine.claimed = claimed
    given = os.environ.get("WHISPER_PERSISTENCE_SEED")
    profile = settings(
        max_examples=int(os.environ.get("WHISPER_PERSISTENCE_EXAMPLES", "25")),
        stateful_step_count=int(os.environ.get("WHISPER_PERSISTENCE_STEPS", "30")),
        derandomize=given is None,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    factory = cast("type[RuleBasedStateMachine]", seed(int(given))(Machine) if given else Machine)
    run_state_machine_as_test(factory, settings=profile)
