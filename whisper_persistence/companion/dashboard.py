"""What is known about a user, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.records import Strategy, fields


def describe_user(
    user_id: str, strategy: Strategy | None, knowledge: Knowledge, waiting: int, active: Sequence[str]
) -> dict[str, Any]:
    """Return a dashboard.

    Args:
        user_id: of whom.
        strategy: what was learned, if anything.
        knowledge: whether that is what is stored.
        waiting: how many changes wait for the storage.
        active: ids of the offers that await a reply.
    """
    persistence = {"knowledge": knowledge.value, "waiting": waiting}
    if strategy is None:
        status = "unknown" if knowledge is Knowledge.UNKNOWN else "no_data"
        message = "the storage does not answer" if status == "unknown" else "nothing was learned about this user"
        return {"user_id": user_id, "status": status, "message": message, "persistence": persistence}
    return {
        "user_id": user_id,
        "status": "active",
        "personalization": _personalization(strategy),
        "metrics": _metrics(strategy),
        "active_interventions": list(active),
        "last_updated": strategy.last_updated,
        "persistence": persistence,
    }


def _personalization(strategy: Strategy) -> dict[str, Any]:
    return {
        "effective_approaches": list(strategy.effective_approaches),
        "approaches_to_avoid": list(strategy.approaches_to_avoid),
        "communication_style": strategy.communication_style or "unknown",
        "support_history_count": len(strategy.support_history),
    }


def _metrics(strategy: Strategy) -> dict[str, Any]:
    count = strategy.interventions
    return {
        "interventions": count,
        "successes": strategy.successes,
        "success_rate": strategy.successes / count if count else None,
        "effectiveness": fields.from_units(strategy.effectiveness_sum) / count if count else None,
    }
