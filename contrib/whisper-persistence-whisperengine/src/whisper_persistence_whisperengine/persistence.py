"""The memory of one running bot: what was adopted, and how to let go of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, cast

import attrs

from whisper_persistence import AsyncStore, PersistenceError
from whisper_persistence.companion import HybridConversationCache, PersistentStrategies
from whisper_persistence.operations import RetentionTask
from whisper_persistence.records import Durability, TierReport
from whisper_persistence.settings import StoragePolicies
from whisper_persistence_whisperengine.conversations import Conversations, adopt_conversations
from whisper_persistence_whisperengine.emotional import EmotionalMemory
from whisper_persistence_whisperengine.errands import Errands
from whisper_persistence_whisperengine.importance import BotImportance
from whisper_persistence_whisperengine.patches import Patches
from whisper_persistence_whisperengine.replies import Replies

#: How often what nobody flushed is looked for, in seconds.
FLUSH_SECONDS: Final = 30.0
#: How long letting go may wait for the storage, in seconds.
CLOSING_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


@attrs.frozen
class Manners:
    """How to treat a bot, as `attach` was told.

    Attributes:
        learn_from_replies: whether messages that the bot processes are tried as replies.
        reply_within: how old an offer may be that a message is the reply to.
        patience: how long one call of the bot may wait for the storage, in seconds.
        shutdown_priority: the place among what its shutdown manager runs.
        owns_store: whether the store is closed at the end.
        policies: what is kept, how long and how many.
    """

    learn_from_replies: bool = False
    reply_within: timedelta = timedelta(hours=2)
    patience: float = 2.0
    shutdown_priority: int = -100
    owns_store: bool = True
    policies: StoragePolicies = attrs.field(factory=StoragePolicies)


@attrs.define(eq=False)
class Persistence:
    """The memory of one running bot, as `attach` returns it.

    Attributes:
        core: the bot.
        store: where its memory is kept, an `AsyncStore` in all but name; opened as soon as the storage answers.
    """

    core: Any = attrs.field(repr=False)
    store: AsyncStore = attrs.field(repr=False)
    _manners: Manners
    _when_gone: Callable[[], object] = attrs.field(repr=False)
    _errands: Errands = attrs.field(
        init=False, repr=False, default=attrs.Factory(lambda self: Errands(self._manners.patience), takes_self=True)
    )
    _patches: Patches = attrs.field(init=False, factory=Patches, repr=False)
    _emotional: EmotionalMemory | None = attrs.field(init=False, default=None, repr=False)
    _importance: BotImportance | None = attrs.field(init=False, default=None, repr=False)
    _replies: Replies | None = attrs.field(init=False, default=None, repr=False)
    _conversations: Conversations | None = attrs.field(init=False, default=None, repr=False)
    _retention: RetentionTask | None = attrs.field(init=False, default=None, repr=False)
    _beginning: asyncio.Task[None] | None = attrs.field(init=False, default=None, repr=False)
    _flushing: asyncio.Task[None] | None = attrs.field(init=False, default=None, repr=False)
    _detaching: asyncio.Task[None] | None = attrs.field(init=False, default=None, repr=False)

    @property
    def strategies(self) -> PersistentStrategies[Any] | None:
        """The strategies that stand in for the bot's dict; ``None`` where it has none."""
        return self._emotional.strategies if self._emotional else None

    @property
    def importance(self) -> BotImportance | None:
        """What is kept of the bot's scores, with ``record_feedback``; ``None`` where it scores nothing."""
        return self._importance

    @property
    def conversations(self) -> HybridConversationCache | None:
        """The cache that stands in for the bot's own; ``None`` where it has none."""
        return self._conversations.cache if self._conversations else None

    @property
    def retention(self) -> RetentionTask | None:
        """What removes what the storage policies no longer keep; ``None`` before the bot is attached."""
        return self._retention

    @property
    def is_detaching(self) -> bool:
        """Whether the bot was let go, or is just now."""
        return self._detaching is not None

    async def begin(self) -> None:
        """Open the store and adopt what the bot has, once, however often this is called.

        Raises:
            PersistenceError: the store can never be opened as it is; nothing of the bot was touched.
        """
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())
        await asyncio.shield(self._beginning)

    async def on_user_message(self, user_id: str, text: str) -> Any:
        """Let the bot learn from a user's message, if it follows an offer of support; never raises.

        Returns:
            What ``handle_intervention_response`` made of it, or ``None`` where the message is no reply.
        """
        return await self._replies.hear(user_id, text) if self._replies else None

    async def erase_user(self, user_id: str) -> tuple[TierReport, ...]:
        """Forget a user: in every tier of the storage, and in the memory of the bot's adopted parts.

        Raises:
            StorageUnavailableError: the storage did not answer, so what it holds is still there.
        """
        return await self.store.erase_users([user_id])

    async def flush(self) -> int:
        """Send everything that waits, and return how many users and changes still wait; an outage does not raise."""
        await self._errands.settle(CLOSING_SECONDS)
        waiting = await self._flush_strategies()
        if self._importance:
            waiting += await self._importance.flush()
        if self._conversations:
            waiting += await self._conversations.cache.flush()
        return waiting

    async def detach(self) -> None:
        """Send what waits, put everything back as it was, and close the store; detaching twice is detaching once.

        What was learned meanwhile stays with the bot: its own dict is given it.
        """
        if self._detaching is None:
            self._detaching = asyncio.create_task(self._let_go())
        await asyncio.shield(self._detaching)

    async def aclose(self) -> None:
        """Detach, for a shutdown manager."""
        await self.detach()

    async def _begin(self) -> None:
        try:
            await self.store.open()
        except BaseException:
            self._when_gone()
            await self._close_store()
            raise
        self.store.forgetters.add(self._forget)
        self._adopt_emotional(getattr(self.core, "phase2_integration", None))
        engine = getattr(getattr(self.core, "phase3_memory_networks", None), "importance_engine", None)
        self._importance = BotImportance.adopt(engine, self.store, self._errands, self._patches)
        self._conversations = adopt_conversations(self.core, self.store, self._manners.policies, self._patches)
        register: Any = getattr(getattr(self.core, "shutdown_manager", None), "register_cleanup", None)
        if callable(register):
            register(self.aclose, self._manners.shutdown_priority)
        self._flushing = asyncio.create_task(self._keep_flushing())
        self._retention = RetentionTask(self.store, self._manners.policies)
        self._retention.start()

    def _adopt_emotional(self, integration: Any) -> None:
        emotional = getattr(integration, "emotional_intelligence", None)
        if emotional is None:
            return
        self._emotional = EmotionalMemory.adopt(emotional, self.store, self._errands, self._patches)
        self._replies = replies = Replies(integration, emotional, self._manners.reply_within)
        method: Any = getattr(integration, "process_message_with_emotional_intelligence", None)
        if self._manners.learn_from_replies and callable(method):
            self._patches.put(integration, "process_message_with_emotional_intelligence", replies.hearing(method))

    def _forget(self, user_id: str) -> None:
        if self._emotional:
            self._emotional.forget_user(user_id)
        if self._importance:
            self._importance.forget_user(user_id)
        if self._conversations:
            self._conversations.forget_user(user_id)

    async def _flush_strategies(self) -> int:
        """Send what changed, user by user, with room for the bot in between; an outage ends it."""
        users, waiting = list(self.strategies or ()), 0
        for user_id in users:
            await asyncio.sleep(0)
            try:
                receipt = await cast("PersistentStrategies[Any]", self.strategies).flush(user_id)
            except PersistenceError as error:
                _log.warning("strategy not kept: %s", type(error).__name__, extra={"user_id": user_id})
                waiting += 1
            else:
                waiting += receipt is not None and receipt.durability is Durability.VOLATILE
        return waiting

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except PersistenceError as error:
                _log.warning("not kept: %s", type(error).__name__)

    async def _let_go(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
        if self._retention is not None:
            await self._retention.stop()
        last = asyncio.create_task(self._flush_at_last())
        if (await asyncio.wait([last], timeout=CLOSING_SECONDS))[1]:
            _log.error("detached before the storage answered")
        for part in (self._emotional, self._importance, self._replies):
            if part is not None:
                part.active = False
        if self._emotional:
            self._emotional.hand_back()
        self._patches.undo()
        last.cancel()
        self._errands.cancel()
        await self._close_store()
        self._when_gone()

    async def _flush_at_last(self) -> None:
        try:
            waiting = await self.flush()
        except PersistenceError as error:
            _log.error("not kept: %s", type(error).__name__)
            return
        if waiting:
            _log.error("detached while the storage did not answer", extra={"waiting": waiting})

    async def _close_store(self) -> None:
        if self._manners.owns_store:
            await self.store.close()
