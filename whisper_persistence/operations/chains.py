"""Verifying hash chains over conversations, also against what was kept of them elsewhere, and removing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from whisper_persistence.errors import ConfigurationError, NotSupportedError
from whisper_persistence.operations.reading import conversations_of
from whisper_persistence.records import ChainReport
from whisper_persistence.store import Store

T = TypeVar("T")


def verify_chains(
    store: Store, user_ids: Sequence[str] = (), conversation_ids: Sequence[str] = (), against: Path | None = None
) -> ChainReport:
    """Say what is not as it was written.

    Args:
        store: whose database of record keeps the chains.
        user_ids: only conversations where one of these takes part.
        conversation_ids: only these, besides.
        against: a file with an earlier report as JSON; all its chains must still be there, or, where conversations
            are named, theirs.

    Raises:
        ConfigurationError: the file cannot be read.
        NotSupportedError: no driver of the chain keeps chains, or its settings say not to.
    """
    wanted = list(dict.fromkeys((*conversation_ids, *conversations_of(store, frozenset(user_ids)))))
    if user_ids and not wanted:
        raise ConfigurationError("none of these users takes part in a conversation: name others, or a conversation")
    anchors = _heads(against) if against else {}
    return _answered(store.chain.hook.verify_conversations(conversation_ids=wanted, anchors=anchors))


def remove_chains(store: Store) -> int:
    """Remove the hash chains of all conversations, which stay; return how many there were.

    Raises:
        NotSupportedError: no driver of the chain keeps chains, or its settings say not to.
    """
    return _answered(store.chain.hook.remove_chains())


def _answered(answer: T | None) -> T:
    if answer is None:
        raise NotSupportedError("no driver of the chain keeps hash chains: list sqlite or postgres, tamper_evidence on")
    return answer


def _heads(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ChainReport).heads
    except (OSError, msgspec.MsgspecError):
        raise ConfigurationError(f"{path} is not what `verify --json` prints: name another file") from None
