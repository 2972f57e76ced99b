"""The one line for a bot: adopt what it has, whatever it has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, cast

from whisper_persistence import AsyncStore
from whisper_persistence.settings import StoragePolicies, load_settings
from whisper_persistence_whisperengine.late_store import LateStore
from whisper_persistence_whisperengine.persistence import Manners, Persistence

#: What is attached now, by the identity of its core.
_attached: Final[dict[int, Persistence]] = {}


async def attach(
    core: Any,
    *,
    url: str | None = None,
    config: str | None = None,
    namespace: str | None = None,
    store: AsyncStore | None = None,
    learn_from_replies: bool = False,
    reply_within: timedelta = timedelta(hours=2),
    patience: float = 2.0,
    shutdown_priority: int = -100,
) -> Persistence:
    """Give a running WhisperEngine core a memory; what it does not have is passed over.

    Attaching a core that is attached already returns what the first call returned. While the storage does not answer
    the bot goes on in memory, and what it learned is stored as soon as it does.

    Args:
        core: the bot's core, when everything in it is built and its event handlers are not yet.
        url: where the memory is kept, instead of what the environment says.
        config: a TOML file of settings.
        namespace: the bot or character whose memory it is.
        store: a store to use instead, open or not; whoever made it closes it.
        learn_from_replies: whether each message that the bot processes is tried as the reply to the last offer of
            support; else call `Persistence.on_user_message`.
        reply_within: a message is a reply to an offer that is younger than this.
        patience: how long one call of the bot may wait for the storage, in seconds; what was begun goes on without it.
        shutdown_priority: the place among what the bot's shutdown manager runs, higher numbers first.

    Raises:
        ConfigurationError: a setting is wrong; the core is as it was.
        PersistenceError: the storage answered, and can never be used as it is; the core is as it was.
    """
    found = await _find_attached(core)
    if found is None:
        settings = None if store else load_settings(url=url, config=config, namespace=namespace)
        kept = LateStore(store or AsyncStore.from_settings(settings))
        policies = settings.policies if settings else StoragePolicies()
        manners = Manners(learn_from_replies, reply_within, patience, shutdown_priority, store is None, policies)
        found = Persistence(core, cast("AsyncStore", kept), manners, lambda: _attached.pop(id(core), None))
        _attached[id(core)] = found
    await found.begin()
    return found


async def _find_attached(core: Any) -> Persistence | None:
    """Return what is attached to a core, once what is just being detached is gone."""
    found = _attached.get(id(core))
    if found is not None and found.is_detaching:
        await found.detach()
        found = _attached.get(id(core))
    return found
