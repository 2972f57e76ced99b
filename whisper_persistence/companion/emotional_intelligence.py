"""How to support each user: learned from their replies, kept, and used for the next choice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.dashboard import describe_user
from whisper_persistence.companion.intervention_session import InterventionSession
from whisper_persistence.companion.interventions import failed, judge, learned_from, offer, user_of
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.recommending import Recommendation, recommend, situation_of
from whisper_persistence.companion.replies import ReplyScore, score_reply
from whisper_persistence.companion.strategy_book import StrategyBook
from whisper_persistence.companion.support import SupportIntervention, SupportOutcome
from whisper_persistence.records import Receipt, Strategy, StrategyChange, fields

_log = logging.getLogger(__name__)


class EmotionalIntelligence:
    """Learns how to support each user, from one process to the next.

    What is stored is used from the first call on; nothing needs to be loaded. While the storage does not answer, a user
    is unknown: everything goes on in memory, nothing raises for it, results say ``VOLATILE``, and what was learned is
    joined with what is stored as soon as the storage answers again. Offers that await a reply end with the process.
    """

    def __init__(
        self,
        store: AsyncStore,
        *,
        min_intervention_gap: timedelta = timedelta(hours=2),
        max_daily_interventions: int = 3,
        max_active_interventions: int = 1_000,
        max_users: int = 10_000,
        max_pending: int = 10_000,
        refresh_after: float = 300.0,
        score: Callable[[str], ReplyScore] = score_reply,
        now: Callable[[], datetime] = fields.now,
    ) -> None:
        """Begin a session.

        Args:
            store: an open store; it stays open when this is closed.
            min_intervention_gap: between two offers to one user of this session, unless priority is 5.
            max_daily_interventions: offers to one user within a day of this session, unless priority is 5.
            max_active_interventions: how many offers may await a reply.
            max_users: how many users' strategies are kept at hand.
            max_pending: how many changes may wait in memory in an outage; of more, the oldest are lost.
            refresh_after: after so many seconds a user is read again, for what other processes learned.
            score: how a reply is judged.
            now: the present moment, aware.
        """
        self.session_id = fields.new_id()
        self._store = store
        self._score = score
        self._now = now
        self._book = StrategyBook(store, max_users=max_users, max_pending=max_pending, refresh_after=refresh_after)
        self._session = InterventionSession(
            min_intervention_gap, max_daily_interventions, max_active_interventions, now
        )
        store.forgetters.add(self.forget_user)

    @property
    def active_interventions(self) -> Mapping[str, dict[str, Any]]:
        """Delivered offers of this session that await a reply, by id."""
        return self._session.active

    @property
    def pending(self) -> int:
        """How many changes wait for the storage to answer."""
        return self._book.pending

    @property
    def lost(self) -> int:
        """How many changes that waited were lost: too many waited, or the storage refused them."""
        return self._book.lost

    def knowledge(self, user_id: str) -> Knowledge:
        """Return whether memory knows what is stored about a user; ``UNKNOWN`` also before anybody asked."""
        return self._book.knowledge(user_id)

    async def load_user_strategy(self, user_id: str) -> Strategy | None:
        """Return what was learned about a user, or ``None``; whether that means nothing is said by `knowledge`."""
        return await self._book.read(user_id)

    async def load_all_user_strategies(self) -> dict[str, Strategy]:
        """Return every user's strategy, by user id; in an outage, those at hand."""
        return await self._book.read_all()

    async def save_user_strategy(self, strategy: Strategy) -> Receipt:
        """Put a whole strategy in place of what is stored (import, correction), and return how safe it is.

        Raises:
            ValidationError: the strategy is not legal.
        """
        return await self._book.save(strategy)

    async def update_user_strategy(self, change: StrategyChange) -> Receipt:
        """Add something learned about a user, whatever is stored, and return how safe it is.

        Raises:
            ValidationError: the change is not legal.
            StorageRefusedError: the storage refused the change.
        """
        return await self._book.write(change)

    async def recommend_approach(self, user_id: str, context: Mapping[str, Any] | None = None) -> Recommendation:
        """Return how to support a user next, and why; what `recommend` reads from the context is said there."""
        strategy = await self._book.read(user_id)
        outcomes = await self._book.recent(user_id) if strategy else ()
        return recommend(user_id, strategy, outcomes, context or {})

    async def create_support_intervention(
        self, user_id: str, support_needs: Mapping[str, Any] | None = None
    ) -> SupportIntervention:
        """Return an offer of support in the approach, style and timing that were learned.

        Args:
            user_id: to whom.
            support_needs: the context for `recommend_approach`, and ``support_type``, ``intervention_style``,
                ``timing``, ``priority_level`` and ``message_content`` where the bot chooses these itself.

        Raises:
            ValidationError: a type or timing does not exist.
        """
        needs = support_needs or {}
        advice = await self.recommend_approach(user_id, needs)
        return offer(self._session.new_id(user_id), advice, needs, self._now())

    async def execute_intervention(
        self, intervention: SupportIntervention, delivery_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Deliver an offer of support, unless this is not the time; never raises.

        Args:
            intervention: what to offer.
            delivery_context: the circumstances, ``user_busy``, ``is_interaction`` (the user is talking right now) and
                ``delivery_method``.

        Returns:
            ``delivered`` and what belongs to it, or why not: ``reason`` and ``suggested_delay``, or ``error``.
        """
        try:
            return self._session.deliver(intervention, delivery_context or {})
        except Exception as error:
            name = type(error).__name__
            _log.warning("intervention not delivered: %s", name)
            return {"delivered": False, "error": name, "intervention_id": getattr(intervention, "intervention_id", "")}

    async def track_intervention_response(
        self, intervention_id: str, user_response: str, response_context: Mapping[str, Any] | None = None
    ) -> SupportOutcome:
        """Judge a user's reply to an offer and learn from it; never raises.

        An offer that this session did not deliver, or whose reply was tracked before, is judged and teaches nothing.

        Returns:
            The outcome; its ``durability`` says how safe what was learned is.
        """
        try:
            score, now = self._score(user_response), self._now()
            active = self._session.finish(intervention_id)  # of a reply that cannot be judged the offer stays
            if active is None:
                return judge(None, intervention_id, user_response, score, now=now)
            situation = situation_of(active["situation"], response_context)
            tried: SupportIntervention = active["intervention"]
            learned = learned_from(
                tried, user_response, score, now=now, situation=situation, session_id=self.session_id
            )
            receipt = await self._book.write(StrategyChange(learned.user_id, (learned,), timestamp=now))
        except Exception as error:
            user_id = user_of(str(intervention_id))
            _log.warning("no outcome: %s", type(error).__name__, extra={"user_id": user_id})
            return failed(intervention_id, self._now())
        return judge(learned, intervention_id, user_response, score, now=now, durability=receipt.durability)

    async def get_user_emotional_dashboard(self, user_id: str) -> dict[str, Any]:
        """Return what is known about a user, for people to look at.

        ``status`` is ``active``, ``no_data`` where nothing is stored, or ``unknown`` where the storage does not answer
        and memory holds nothing; ``persistence`` says whether the rest is what is stored.
        """
        strategy = await self._book.read(user_id)
        active = [key for key in self._session.active if user_of(key) == user_id]
        return describe_user(user_id, strategy, self._book.knowledge(user_id), self._book.pending, active)

    def forget_user(self, user_id: str) -> None:
        """Drop everything that memory holds of a user; ``erase_users`` of the same store does that by itself."""
        self._book.forget(user_id)
        self._session.forget(user_id)

    async def flush(self) -> int:
        """Send what waits for the storage, and return how many changes still wait; an outage does not raise."""
        return await self._book.flush()

    async def aclose(self) -> None:
        """Send what waits for the storage; what it does not take is counted in the log."""
        waiting = await self.flush()
        if waiting:
            _log.error("closed while the storage did not answer", extra={"changes": waiting})
