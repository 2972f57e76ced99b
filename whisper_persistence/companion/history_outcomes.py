"""From the entries of a bot's support history to outcomes, which the store keeps without end."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from whisper_persistence.companion.histories import aware, time_of
from whisper_persistence.companion.strategy_shapes import fields_of, shows
from whisper_persistence.records import Outcome, Strategy, StrategyChange, checks, fields

#: Equal entries give equal JSON, in whichever order their keys came.
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_BITS_12: Final = (1 << 12) - 1
_BITS_48: Final = (1 << 48) - 1
_VERSION_8: Final = 8
_VARIANT: Final = 2


def outcome_of(user_id: str, entry: dict[str, Any], earlier: int, session_id: str) -> Outcome | None:
    """Return a history entry as an outcome, or ``None`` where that would not give the same entry back.

    Its id follows from its content, so that adopting the same data twice counts once.

    Args:
        user_id: whose.
        entry: the entry.
        earlier: how many equal ones came before it.
        session_id: the run of the bot that it is noted to be of.
    """
    outcome = _made(user_id, entry, earlier, session_id)
    return outcome if outcome and outcome.history_entry() == entry else None


def learned(before: Strategy, value: Any, session_id: str = "") -> tuple[StrategyChange, Strategy] | None:
    """Return the change to what a bot holds, and the state that it leads to, where one new outcome explains all of it.

    That is what a bot does most, and costs a third of what telling it by differences does. The change is legal.

    Args:
        before: the state before.
        value: what the bot holds.
        session_id: as `outcome_of` takes it.
    """
    held, kept = fields_of(value), before.support_history
    history = cast("list[dict[str, Any]]", held.get("support_history"))
    if type(history) is not list or not history or (kept and history[-1] == kept[-1]):
        return None
    outcome, moment = _made(before.user_id, history[-1], 0, session_id), held.get("last_updated")
    if outcome is None or (kept and not _is_before(kept[-1], outcome.timestamp)) or checks.check_moment(moment):
        return None
    change = StrategyChange(before.user_id, (outcome,), timestamp=cast("datetime", moment))
    state = change.apply_to(before)
    return (change, state) if shows(value, held, state) else None


def _made(user_id: str, entry: dict[str, Any], earlier: int, session_id: str) -> Outcome | None:
    when = time_of(entry)
    if when is None or when.tzinfo is None:
        return None
    try:
        told = _encode({**entry, "effectiveness_score": fields.quantise(entry["effectiveness_score"])})
        outcome = Outcome(
            entry["intervention_id"],
            entry["intervention_style"],
            entry["effectiveness_score"],
            entry["outcome_type"],
            when,
            outcome_id=_id_of(when, f"{len(user_id)}:{user_id}{earlier}:".encode() + told),
            user_id=user_id,
            session_id=session_id,
        )
    except (KeyError, TypeError, ValueError):
        return None
    return None if _problem(outcome) else outcome


def _is_before(entry: dict[str, Any], moment: datetime) -> bool:
    when = time_of(entry)
    return when is not None and aware(when) < moment


def _id_of(when: datetime, told: bytes) -> str:
    """Return an id that follows from a time and what is told; like all ids of ours it begins with the time.

    It is a UUID of version 8 (RFC 9562, section 5.8).
    """
    digest = int.from_bytes(hashlib.sha256(told).digest())
    moment, low, high = int(when.timestamp() * 1_000) & _BITS_48, digest & _BITS_12, digest >> 194
    return str(UUID(int=moment << 80 | _VERSION_8 << 76 | low << 64 | _VARIANT << 62 | high))


def _problem(outcome: Outcome) -> str | None:
    return (
        checks.check_number(outcome.effectiveness_score, 0, 1)
        or checks.check_id(outcome.intervention_id)
        or checks.check_label(outcome.intervention_style)
        or checks.check_label(outcome.outcome_type)
        or checks.check_moment(outcome.timestamp)
    )
