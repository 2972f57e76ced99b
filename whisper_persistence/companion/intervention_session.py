"""Offers of support made by this process: their ids, whether now is the time, and which await a reply."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from whisper_persistence.companion.interventions import user_of
from whisper_persistence.companion.recommending import situation_of
from whisper_persistence.companion.support import SupportIntervention, SupportTiming, SupportType

_EXPECTED: Final = {
    SupportTiming.IMMEDIATE: timedelta(minutes=30),
    SupportTiming.WITHIN_HOUR: timedelta(hours=2),
    SupportTiming.WITHIN_DAY: timedelta(days=1),
    SupportTiming.NEXT_INTERACTION: timedelta(days=1),
}
_DAY: Final = timedelta(days=1)


class InterventionSession:
    """The offers of support of one process; nothing of it outlives the process.

    Attributes:
        active: delivered offers that await a reply, by id: ``intervention``, ``delivery_result``,
            ``start_time`` and ``situation``.
    """

    def __init__(self, min_gap: timedelta, max_daily: int, max_active: int, now: Callable[[], datetime]) -> None:
        """Begin with none.

        Args:
            min_gap: between two offers to one user.
            max_daily: offers to one user within a day.
            max_active: how many offers may await a reply; those that waited longest leave.
            now: the present moment.
        """
        self._min_gap = min_gap
        self._max_daily = max_daily
        self._max_active = max_active
        self._now = now
        self._counter = itertools.count(1)
        self._active: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._delivered: OrderedDict[str, deque[datetime]] = OrderedDict()
        self.active: Mapping[str, dict[str, Any]] = MappingProxyType(self._active)

    def new_id(self, user_id: str) -> str:
        """Return the next intervention id; ids begin again with the process."""
        return f"{user_id}_intervention_{next(self._counter)}"

    def deliver(self, intervention: SupportIntervention, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return how an offer was delivered, or why this is not the time."""
        refused = self._refusal(intervention, context)
        if refused:
            reason, delay = refused
            answer = {"delivered": False, "reason": reason, "suggested_delay": delay}
            return {**answer, "intervention_id": intervention.intervention_id}
        result = {
            "delivered": True,
            "intervention_id": intervention.intervention_id,
            "message_content": intervention.message_content,
            "delivery_method": context.get("delivery_method", "message"),
            "delivery_timestamp": self._now(),
            "expected_response_timeframe": _EXPECTED[intervention.timing],
            "tracking_metrics": intervention.success_metrics,
            "fallback_plan": intervention.fallback_options,
        }
        self._note(intervention, result, situation_of(context))
        return result

    def finish(self, intervention_id: str) -> dict[str, Any] | None:
        """Take a delivered offer out of those that await a reply, and return it."""
        return self._active.pop(intervention_id, None)

    def forget(self, user_id: str) -> None:
        """Drop everything about a user."""
        self._delivered.pop(user_id, None)
        for intervention_id in [key for key in self._active if user_of(key) == user_id]:
            del self._active[intervention_id]

    def _refusal(self, intervention: SupportIntervention, context: Mapping[str, Any]) -> tuple[str, timedelta] | None:
        now, priority = self._now(), intervention.priority_level
        recent = [when for when in self._delivered.get(user_of(intervention.intervention_id), ()) if now - when < _DAY]
        if recent and now - recent[-1] < self._min_gap and priority < 5:
            return "too_soon_after_last_intervention", self._min_gap - (now - recent[-1])
        if len(recent) >= self._max_daily and priority < 5:
            return "daily_limit_reached", _DAY - (now - min(recent, default=now))
        if context.get("user_busy") and priority < 4:
            return "user_busy", timedelta(hours=1)
        waits = intervention.timing is SupportTiming.NEXT_INTERACTION
        if waits and intervention.support_type is not SupportType.CRISIS and not context.get("is_interaction"):
            return "wait_for_next_interaction", timedelta(0)
        return None

    def _note(self, intervention: SupportIntervention, result: dict[str, Any], situation: dict[str, str]) -> None:
        key, now = intervention.intervention_id, result["delivery_timestamp"]
        entry = {"intervention": intervention, "delivery_result": result, "start_time": now}
        self._active[key] = {**entry, "situation": situation}
        while len(self._active) > self._max_active:
            self._active.popitem(last=False)
        times = self._delivered.setdefault(user_of(key), deque(maxlen=max(1, self._max_daily)))
        times.append(now)
        self._delivered.move_to_end(user_of(key))
        while len(self._delivered) > self._max_active:
            self._delivered.popitem(last=False)
