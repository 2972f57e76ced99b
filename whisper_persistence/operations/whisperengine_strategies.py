"""One user's strategy, put together from all rows of the earlier attempt that are about them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, cast

import attrs

from whisper_persistence.errors import ValidationError
from whisper_persistence.operations.whisperengine_rows import (
    Row,
    Synonyms,
    to_json,
    to_moment,
    to_names,
    to_number,
    to_table,
)
from whisper_persistence.records import Outcome, StrategyChange, checks, fields
from whisper_persistence.validation import validate

#: The table whose rows are outcomes.
OUTCOMES: Final = "support_strategy_history"
_STRATEGY: Final[Synonyms] = {
    "strategy_id": ("strategy_id",),
    "effective_approaches": ("effective_approaches",),
    "approaches_to_avoid": ("approaches_to_avoid", "avoid_approaches", "ineffective_approaches"),
    "communication_style": ("communication_style", "preferred_communication_style"),
    "optimal_timing": ("optimal_timing", "timing_preferences"),
    "user_preferences": ("user_preferences", "preferences"),
    "support_history": ("support_history", "intervention_history", "history"),
    "last_updated": ("last_updated", "updated_at", "created_at"),
}
_OUTCOME: Final[Synonyms] = {
    "intervention_id": ("intervention_id",),
    "intervention_style": ("intervention_style", "intervention_type", "approach", "strategy_type"),
    "effectiveness_score": ("effectiveness_score", "effectiveness"),
    "outcome_type": ("outcome_type", "outcome"),
    "timestamp": ("timestamp", "created_at", "recorded_at"),
    "user_response": ("user_response",),
}
#: The tables that a strategy is put together from, the strongest last, and the columns of each.
STRATEGY_TABLES: Final[dict[str, Synonyms]] = {
    OUTCOMES: _OUTCOME,
    "user_emotional_profiles": _STRATEGY,
    "user_support_strategies": _STRATEGY,
}

_OUTCOMES_SPACE: Final = uuid.UUID("0b6ac9f0-5d55-4f0e-8a1e-6f2f6f1c7d10")
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


@attrs.define
class FoundStrategy:
    """What the earlier attempt says about one user.

    Attributes:
        user_id: whom.
        rows: the rows, each with its table.
        placeholders: how many values were left out that stand for one that was lost when it was saved.
    """

    user_id: str
    rows: list[tuple[str, Row]] = attrs.field(factory=list[tuple[str, Row]])
    placeholders: int = 0

    def changes(self) -> list[StrategyChange]:
        """Return what leads a store that knows nothing of the user to what these rows say.

        Raises:
            ValidationError: something cannot be stored.
        """
        ranks = list(STRATEGY_TABLES)
        order = sorted(self.rows, key=lambda found: (ranks.index(found[0]), _age(found[1])))
        entries = [entry for table, row in order for entry in self._entries(table, row)]
        outcomes, raw = self._outcomes(entries)
        rows = [(table, row) for table, row in order if table != OUTCOMES]
        times = [moment for _, row in rows if (moment := to_moment(row.known.get("last_updated")))]
        times += [outcome.timestamp for outcome in outcomes]
        first = StrategyChange(
            self.user_id,
            communication_style=self._style(rows),
            effective_approaches=_names(rows, "effective_approaches"),
            approaches_to_avoid=_names(rows, "approaches_to_avoid"),
            optimal_timing=self._timing(rows),
            user_preferences=_merged(to_table(row.known.get("user_preferences")) for _, row in rows),
            support_history=raw[-checks.MAX_MEMBERS :],
            extra=self._extra(rows),
            timestamp=max(times, default=fields.now()),
        )
        size = checks.MAX_MEMBERS
        parts = [outcomes[start : start + size] for start in range(0, len(outcomes), size)] or [[]]
        changes = [attrs.evolve(first, outcomes=parts[0])]
        changes += [StrategyChange(self.user_id, outcomes=part, timestamp=first.timestamp) for part in parts[1:]]
        for change in changes:
            validate(change)
        return changes

    def _style(self, rows: list[tuple[str, Row]]) -> str | None:
        said = [str(row.known["communication_style"]) for _, row in rows if row.known.get("communication_style")]
        self.placeholders += said.count("adaptive")
        return next((style for style in reversed(said) if style != "adaptive"), None)

    def _timing(self, rows: list[tuple[str, Row]]) -> dict[str, Any]:
        tables: list[dict[str, Any]] = []
        for _, row in rows:
            found = to_json(row.known.get("optimal_timing"))
            table = {"preferred": found} if isinstance(found, str) and found else to_table(found)
            self.placeholders += table == {"any": "flexible"}
            tables.append({} if table == {"any": "flexible"} else table)
        return _merged(tables)

    def _extra(self, rows: list[tuple[str, Row]]) -> dict[str, Any]:
        extra: dict[str, Any] = {table: row.extra for table, row in rows if row.extra}
        named = [str(row.known["strategy_id"]) for _, row in rows if "strategy_id" in row.known]
        if named and named[-1] != f"{self.user_id}_strategy":
            extra["strategy_id"] = named[-1]
        return extra

    def _entries(self, table: str, row: Row) -> list[dict[str, Any]]:
        if table == OUTCOMES:
            return [{**row.known, "extra": row.extra}]
        found = to_json(row.known.get("support_history"))
        listed = cast("list[Any]", found) if isinstance(found, list) else []
        return [cast("dict[str, Any]", entry) for entry in listed if isinstance(entry, dict)]

    def _outcomes(self, entries: Iterable[dict[str, Any]]) -> tuple[list[Outcome], list[dict[str, Any]]]:
        """Return entries as outcomes, oldest first and each once, and separately those that are no outcomes."""
        outcomes: dict[tuple[str, datetime], Outcome] = {}
        raw: list[dict[str, Any]] = []
        for entry in entries:
            outcome = _outcome(self.user_id, entry)
            if outcome is None:
                raw.append(cast("dict[str, Any]", to_json(entry)))
            else:
                outcomes.setdefault((outcome.intervention_id, outcome.timestamp), outcome)
        return sorted(outcomes.values(), key=lambda outcome: outcome.timestamp), raw


def _outcome(user_id: str, entry: dict[str, Any]) -> Outcome | None:
    score, moment = to_number(entry.get("effectiveness_score")), to_moment(entry.get("timestamp"))
    if score is None or moment is None:
        return None
    plain = json.dumps(to_json(entry), sort_keys=True)
    outcome = Outcome(
        intervention_id=str(entry.get("intervention_id") or ""),
        intervention_style=str(entry.get("intervention_style") or ""),
        effectiveness_score=score,
        outcome_type=str(entry.get("outcome_type") or ""),
        timestamp=moment,
        outcome_id=str(uuid.uuid5(_OUTCOMES_SPACE, f"{len(user_id)}:{user_id}{plain}")),
        user_id=user_id,
        user_response=str(entry.get("user_response") or ""),
        extra=to_table(entry.get("extra")),
    )
    try:
        validate(outcome)
    except ValidationError:
        return None
    return outcome


def _age(row: Row) -> datetime:
    return to_moment(row.known.get("last_updated")) or to_moment(row.known.get("timestamp")) or _BEGINNING


def _names(rows: list[tuple[str, Row]], field: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, row in rows for name in to_names(row.known.get(field))))


def _merged(tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {key: item for table in tables for key, item in table.items()}
