"""What a bot would write to keep strategies and statistics in a store of plain values."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from data import BATCH


class Value(NamedTuple):
    """One value, and where it belongs."""

    table: str
    user: str
    key: str
    value: dict[str, Any]


class Values:
    """Strategies and statistics over `get` and `put`; values that change together are put in one call."""

    async def get(self, table: str, user: str, key: str) -> dict[str, Any] | None:
        raise NotImplementedError

    async def put(self, values: list[Value]) -> None:
        raise NotImplementedError

    async def save(self, profile: dict[str, Any]) -> None:
        await self.put([_strategy(profile)])

    async def load(self, user: str) -> dict[str, Any]:
        strategy = await self.get("strategies", user, "strategy")
        assert strategy is not None
        return strategy

    async def learn(self, user: str, number: int) -> None:
        entry = {"intervention_id": f"i{number}", "intervention_style": "gentle_check_in", "effectiveness_score": 0.8}
        strategy = await self.load(user)
        approaches = dict.fromkeys([*strategy["effective_approaches"], entry["intervention_style"]])
        history = [*strategy["support_history"], entry][-10:]
        changed = {**strategy, "effective_approaches": list(approaches), "support_history": history}
        await self.put([Value("strategies", user, "strategy", changed), Value("outcomes", user, f"i{number}", entry)])

    async def score(self, user: str, number: int) -> None:
        score = {"overall_score": 0.6, "factor_scores": {"recency": 0.5}}
        before = await self.get("statistics", user, "all") or {"count": 0, "sum": 0.0, "low": 1.0, "high": 0.0}
        after = {
            "count": before["count"] + 1,
            "sum": before["sum"] + 0.6,
            "low": min(before["low"], 0.6),
            "high": max(before["high"], 0.6),
        }
        await self.put([Value("scores", user, f"memory-{number}", score), Value("statistics", user, "all", after)])

    async def keep(self, profiles: Iterable[dict[str, Any]]) -> None:
        source = iter(profiles)
        while batch := list(islice(source, BATCH)):
            await self.put([_strategy(profile) for profile in batch])

    def learned(self, answer: dict[str, Any]) -> str:
        """Return the id of the last outcome that a strategy remembers."""
        last: str = answer["support_history"][-1]["intervention_id"]
        return last


def _strategy(profile: dict[str, Any]) -> Value:
    plain = {**profile, "last_updated": profile["last_updated"].isoformat()}
    return Value("strategies", profile["user_id"], "strategy", plain)
