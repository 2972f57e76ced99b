"""How the public names are used, for type checkers: checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, assert_type

import attrs

from whisper_persistence import (
    AsyncStore,
    ClearMark,
    Durability,
    Message,
    MessageEdit,
    Outcome,
    Receipt,
    ScoreQuery,
    Store,
    Strategy,
    StrategyChange,
    ValidationError,
    Window,
    hookimpl,
)
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import Below, ConversationSpecs, LifecycleSpecs, StrategySpecs
from whisper_persistence.plugins import Chain
from whisper_persistence.records import MemoryScore, Page, TierHealth, TierReport, TopPatterns


def use_a_store() -> None:
    with Store.from_settings(url="memory://", namespace="elena") as store:
        assert_type(store, Store)
        receipts = store.save_messages([Message("talk", user_id="alice", author_id="alice", content="hello")])
        assert_type(receipts, Sequence[Receipt])
        assert_type(receipts[0].durability, Durability)
        assert_type(receipts[0].sequence, int | None)
        assert_type(store.load_messages([Window("talk")]), Mapping[Window, tuple[Message, ...]])
        assert_type(store.load_strategies(["alice"])["alice"], Strategy)
        assert_type(store.aggregate(TopPatterns()).rows[0].users, int)
        assert_type(store.load_scores([ScoreQuery("alice")]), Mapping[ScoreQuery, tuple[MemoryScore, ...]])
        assert_type(store.scan("messages", None, 100), Page)
        assert_type(store.erase_users(["alice"]), tuple[TierReport, ...])
        store.update_messages([MessageEdit("talk", "1", "words"), ClearMark("talk")])
        store.scan("weather", None, 100)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        store.load_strategies("alice", 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def use_an_async_store() -> None:
    async with AsyncStore.from_settings() as store:
        assert_type(store, AsyncStore)
        change = StrategyChange("alice", outcomes=(Outcome("1", "gentle", 0.9),))
        assert_type(await store.update_strategies([change]), Sequence[Receipt])
        assert_type(await store.load_strategies(["alice"]), Mapping[str, Strategy])
        assert_type(await store.check_health(), tuple[TierHealth, ...])


def build_a_chain() -> Store:
    return Store(Chain.build([DriverSpec("mine", {"path": "here"}), DriverSpec("sqlite")]), "elena")


def name_a_field(error: ValidationError) -> str:
    assert_type(error.field, str)
    return error.field


@attrs.define(eq=False)
class Driver(LifecycleSpecs, ConversationSpecs):
    contract_version: ClassVar[int] = 1

    path: str
    _below: Below = attrs.field(init=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self._below = below

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        answer = self._below.save_messages(messages=messages)
        assert_type(answer, Sequence[Receipt] | None)
        return answer


class Mistaken(StrategySpecs):
    @hookimpl
    def load_strategies(self, user_ids: Sequence[int]) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """A hook of other types than the contract's is found by type checkers, since pluggy would take it."""
