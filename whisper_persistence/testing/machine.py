"""Any sequence of hooks gives the same answers from a driver and from the reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import attrs
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from whisper_persistence.records import ClearMark, Message, OutcomeQuery, ScoreQuery, Window
from whisper_persistence.store import Store
from whisper_persistence.testing import arbitrary as some
from whisper_persistence.testing import samples
from whisper_persistence.testing.comparing import ComparedStores
from whisper_persistence.testing.declared import kinds_of
from whisper_persistence.testing.scanning import scan_all

F = TypeVar("F", bound=Callable[..., Any])


def claims(capability: str) -> Callable[[F], F]:
    """Return a precondition: the driver claims a capability."""
    condition: Callable[[F], F] = precondition(lambda machine: capability in machine.claimed)
    return condition


def batches(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return batches of one to four items."""
    return st.lists(items, min_size=1, max_size=4)


class StoreMachine(ComparedStores):
    """One store under test and the reference, asked the same."""

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
    @rule(batch=st.lists(some.messages, min_size=1, max_size=12))
    def save_messages(self, batch: list[Any]) -> None:
        """Append messages, some of them again."""
        self.write("save_messages", batch)

    @claims("conversations")
    @rule(batch=batches(some.edits))
    def edit_messages(self, batch: list[Any]) -> None:
        """Edit and redact messages, some of which are not there."""
        known = {(m.conversation_id, m.message_id) for m in scan_all(self.model, "messages", 100)}
        self.write("update_messages", batch)
        unknown = [("update_messages", c) for c in batch if (c.conversation_id, c.message_id) not in known]
        self.fresh = [applied for applied in self.fresh if applied not in unknown]

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
        real, model = marks
        if real and model:
            receipts = self.real.update_messages([real]), self.model.update_messages([model])
            self.compare_receipts([talk], "conversation", *receipts)

    @claims("conversations")
    @rule(talk=some.talks, limit=st.integers(1, 5), user=st.none() | some.users)
    def load_windows(self, talk: str, limit: int, user: str | None) -> None:
        """Read the windows that begin or end at each message of a conversation."""
        real, model = (_windows(store, Window(talk, limit, user_id=user)) for store in (self.real, self.model))

        assert len(real) == len(model)
        assert all(map(samples.same, real, model))

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
        self.real = self.opened()

    @rule(user=some.users, talk=some.talks, order=st.sampled_from(["top", "recent"]))
    def load_everything(self, user: str, talk: str, order: Any) -> None:
        """Read all that is shown of one user and one conversation, and walk through pages."""
        self.compare_reads(user, talk)
        if "statistics" in self.claimed:
            assert samples.same(self._scores(self.real, user, order), self._scores(self.model, user, order))
        if "strategies" in self.claimed:
            assert self.real.load_strategies(some.USERS) == self.model.load_strategies(some.USERS)
            assert samples.same(self._outcomes(self.real, user), self._outcomes(self.model, user))

    @claims("scan")
    @rule(limit=st.sampled_from([1, 2, 3, 1_000]))
    def scan(self, limit: int) -> None:
        """Walk through every record of every kind."""
        for kind in kinds_of(self.claimed):
            real, model = scan_all(self.real, kind, limit), scan_all(self.model, kind, limit)

            assert sorted(map(samples.exact, real)) == sorted(map(samples.exact, model)), kind

    def _mark(self, store: Store, talk: str, place: int | None) -> ClearMark | None:
        found = _all(store, talk)
        through = None if place is None or not found else found[place % len(found)].sequence
        return ClearMark(talk, through, samples.MOMENT) if found else None

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


def _windows(store: Store, window: Window) -> list[Sequence[Message]]:
    ends = [message.sequence for message in _all(store, window.conversation_id)]
    asked = [
        window,
        *(attrs.evolve(window, before=end) for end in ends),
        *(attrs.evolve(window, after=end) for end in ends),
    ]
    asked += [attrs.evolve(window, after=first, before=last) for first, last in zip(ends, ends[3:], strict=False)]
    found = store.load_messages(asked)
    return [found.get(each, ()) for each in asked]


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
        def begin(self) -> Callable[[], Store]:
            return opener()

    Machine.claimed = claimed
    given = os.environ.get("WHISPER_PERSISTENCE_SEED")
    profile = settings(
        max_examples=int(os.environ.get("WHISPER_PERSISTENCE_EXAMPLES", "10")),
        stateful_step_count=int(os.environ.get("WHISPER_PERSISTENCE_STEPS", "30")),
        derandomize=given is None,
        deadline=None,
        database=None,
        phases=[Phase.generate]
        if os.environ.get("WHISPER_PERSISTENCE_SHRINK") == "0"
        else [Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    factory = cast("type[RuleBasedStateMachine]", seed(int(given))(Machine) if given else Machine)
    run_state_machine_as_test(factory, settings=profile)
