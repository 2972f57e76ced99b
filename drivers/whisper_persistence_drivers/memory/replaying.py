"""The rules for writes that tell where they come from (`whisper_persistence.origins`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from whisper_persistence.codec import encode
from whisper_persistence.errors import ErasedMeanwhileError
from whisper_persistence.origins import Origin, current_origin
from whisper_persistence.records import ClearMark, Message, MessageEdit, MessageRedaction, Receipt
from whisper_persistence_drivers.memory.state import State
from whisper_persistence_drivers.memory.tombstones import is_erased_since

Act = Callable[[State, Sequence[Any]], Sequence[Receipt]]


def write(state: State, act: Act, items: Sequence[Any], saves: str = "") -> Sequence[Receipt]:
    """Write what the rules let through, and answer for every item.

    Args:
        state: where to.
        act: how.
        items: what.
        saves: the kind of whole record that this saves, or empty.
    """
    origin = current_origin()
    receipts = act(state, items) if origin is None else _heed(state, origin, act, items, saves)
    return [attrs.evolve(receipt, erasures=state.erased) for receipt in receipts] if state.erased else receipts


def is_new(state: State, origin: Origin) -> bool:
    """Say whether a call was not applied before, and write down that it is now."""
    new = origin.change_id not in state.applied
    state.applied.add(origin.change_id)
    return new


def _heed(state: State, origin: Origin, act: Act, items: Sequence[Any], saves: str) -> Sequence[Receipt]:
    if not origin.replayed and any(is_erased_since(state, origin, user) for item in items for user in _users_of(item)):
        raise ErasedMeanwhileError(state.erased)
    if saves and not is_new(state, origin):
        return [_present(state, item) for item in items]
    revisions = {user_id: state.peek_user(user_id).revision for item in items for user_id in _users_of(item)}
    moved = {user_id for user_id, revision in revisions.items() if revision > origin.based_on.get(user_id, 0)}
    receipts: list[Receipt] = []
    for item in items:
        if origin.replayed and any(is_erased_since(state, origin, user_id) for user_id in _users_of(item)):
            receipts.append(_left_out(state, item))
        elif origin.replayed and saves and item.user_id in moved and (text := _stored(state, item, saves)) is not None:
            receipts.append(_present(state, item) if text == encode(item) else _beside(state, item, saves))
        else:
            receipts += act(state, [item])
    return receipts


def _users_of(item: Any) -> tuple[str, ...]:
    if isinstance(item, Message):
        return (item.user_id, item.author_id) if item.role == "user" else (item.user_id,)
    return () if isinstance(item, (MessageEdit, MessageRedaction, ClearMark)) else (item.user_id,)


def _stored(state: State, record: Any, kind: Any) -> str | None:
    return state.peek_user(record.user_id).tables.get(kind, {}).get(getattr(record, "pattern_id", ""))


def _beside(state: State, record: Any, kind: str) -> Receipt:
    state.conflicts.append((kind, record.user_id, getattr(record, "pattern_id", ""), encode(record)))
    return _left_out(state, record)


def _left_out(state: State, item: Any) -> Receipt:
    if not isinstance(item, Message):
        state.users[item.user_id].revision += 1
    return _present(state, item)


def _present(state: State, item: Any) -> Receipt:
    spoken = isinstance(item, Message)
    thing = state.peek_conversation(item.conversation_id) if spoken else state.peek_user(item.user_id)
    return thing.receipt()
