"""When users were erased, and by whom, so that a write replayed later is judged by it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from whisper_persistence.origins import Origin, current_origin
from whisper_persistence_drivers.memory.state import State


def note_erasure(state: State, user_ids: Iterable[str]) -> None:
    """Give this erase the next number, and write down whom it erased."""
    erased = list(user_ids)
    origin = current_origin()
    writer, number = (origin.writer, origin.number) if origin else ("", 0)
    state.erased += bool(erased)
    state.erasures.update(dict.fromkeys(erased, (state.erased, writer, number, datetime.now(UTC))))


def is_erased_since(state: State, origin: Origin, user_id: str) -> bool:
    """Say whether a user was erased after the writes of an origin, by an erase that its writer did not do."""
    if user_id not in state.erasures:
        return False
    number, writer, writers_number, erased_at = state.erasures[user_id]
    if writer == origin.writer:
        return origin.number <= writers_number
    return erased_at >= origin.written_at if origin.erasures is None else number > origin.erasures
