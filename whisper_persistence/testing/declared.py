"""Claims: what a driver claims is there, what it does not claim is refused, never faked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest

from whisper_persistence.errors import NotSupportedError, StoreClosedError
from whisper_persistence.hookspecs import KINDS
from whisper_persistence.records import (
    QUESTIONS,
    Follower,
    OutcomeQuery,
    Question,
    ScoreQuery,
    SearchQuery,
    State,
    VectorQuery,
    Window,
)
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store
from whisper_persistence.testing.base import Conformance
from whisper_persistence.testing.capabilities import CAPABILITIES, SUBJECT_CAPABILITIES

Ask = Callable[[Store], Any]

#: How each hook of a capability is asked something harmless.
HOOKS: Final[dict[str, tuple[Ask, ...]]] = {
    "strategies": (
        lambda store: store.save_strategies([]),
        lambda store: store.load_strategies(["u"]),
        lambda store: store.update_strategies([]),
        lambda store: store.load_outcomes([OutcomeQuery("u")]),
    ),
    "statistics": (
        lambda store: store.save_statistics([]),
        lambda store: store.load_statistics(["u"]),
        lambda store: store.update_statistics([]),
        lambda store: store.load_scores([ScoreQuery("u")]),
        lambda store: store.save_patterns([]),
        lambda store: store.load_patterns(["u"]),
        lambda store: store.update_patterns([]),
        lambda store: store.save_preferences([]),
        lambda store: store.load_preferences(["u"]),
        lambda store: store.update_preferences([]),
    ),
    "conversations": (
        lambda store: store.save_messages([]),
        lambda store: store.load_messages([Window("t")]),
        lambda store: store.update_messages([]),
    ),
    "revisions": (lambda store: store.load_revisions([]),),
    "followers": (
        lambda store: store.register_follower(Follower("f", ("messages",))),
        lambda store: store.load_pending("f", 1),
        lambda store: store.clear_pending([]),
    ),
    "erase": (lambda store: store.erase_users([]),),
    "expire": (lambda store: store.expire([], True),),
    "search": (lambda store: store.search_messages([SearchQuery("word")]),),
    "vectors": (lambda store: store.save_vectors([]), lambda store: store.load_vectors([VectorQuery("model")])),
    "embed": (lambda store: store.embed(["word"]),),
}


def kinds_of(capabilities: frozenset[str]) -> list[RecordKind]:
    """Return the kinds of record that a driver of these capabilities keeps."""
    return [kind for subject in sorted(SUBJECT_CAPABILITIES & capabilities) for kind in KINDS[subject]]


class DeclarationConformance(Conformance):
    """That claims are true, and that what is not claimed raises `NotSupportedError`."""

    def test_at_least_one_subject_is_claimed_and_nothing_unheard_of(self) -> None:
        assert self.capabilities & SUBJECT_CAPABILITIES, f"claim one of {', '.join(sorted(SUBJECT_CAPABILITIES))}"
        assert self.capabilities <= set(CAPABILITIES), f"known capabilities: {', '.join(CAPABILITIES)}"

    def test_every_hook_of_a_claim_answers(self, store: Store) -> None:
        for ask in self._asks(claimed=True):
            assert ask(store) is not None

    def test_every_hook_that_is_not_claimed_is_refused(self, store: Store) -> None:
        for ask in self._asks(claimed=False):
            with pytest.raises(NotSupportedError):
                ask(store)

    def test_every_tier_says_that_it_is_up(self, store: Store) -> None:
        tiers = store.check_health()

        assert tiers
        assert [tier.state for tier in tiers] == [State.UP] * len(tiers)

    def test_a_closed_store_refuses_everything(self, store: Store) -> None:
        store.close()
        store.close()

        for ask in [*self._asks(claimed=True), Store.check_health]:
            with pytest.raises(StoreClosedError):
                ask(store)

    def _asks(self, claimed: bool) -> Iterator[Ask]:
        for capability, hooks in HOOKS.items():
            if (capability in self.capabilities) is claimed:
                yield from hooks
        for question in (kind() for kind in QUESTIONS if kind.subject):
            if ("aggregate" in self.capabilities and question.subject in self.capabilities) is claimed:
                yield partial(_aggregate, question)
        for kind in kinds_of(SUBJECT_CAPABILITIES):
            if ("scan" in self.capabilities and kind in kinds_of(self.capabilities)) is claimed:
                yield partial(_scan, kind)


def _scan(kind: RecordKind, store: Store) -> Any:
    return store.scan(kind, None, 1)


def _aggregate(question: Question[Any], store: Store) -> Any:
    return store.aggregate(question)
