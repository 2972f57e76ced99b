"""How to support a user: what helped, what to avoid, style, timing, and every outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, cast

import attrs

from whisper_persistence.records import checks, fields
from whisper_persistence.records.fields import Id, JsonObject, Label, Moment, Positive, Removals, Score, Text, Whole

#: An outcome at least this effective makes its style an effective approach.
EFFECTIVE_AT: Final = 0.7
#: An outcome at most this effective makes its style an approach to avoid.
AVOID_AT: Final = 0.3
#: An outcome at least this effective counts as a success.
SUCCESS_AT: Final = 0.6
#: How many entries `Strategy.support_history` keeps; the store keeps every `Outcome`.
HISTORY_LIMIT: Final = 10


@attrs.frozen
class Outcome:
    """What came of one intervention.

    Attributes:
        intervention_id: which intervention; not unique, since a bot may count from one again after a restart.
        intervention_style: the approach that was tried, such as ``gentle_check_in``.
        effectiveness_score: how much it helped, 0 to 1.
        outcome_type: a word for it, such as ``successful`` or ``partial``.
        timestamp: when the reply was judged.
        outcome_id: unique; recording one outcome twice counts once.
        user_id: whom it concerns; filled in from the change that carries it.
        session_id: the run of the bot it happened in.
        user_response: the user's words; private.
        follow_up_needed: whether to come back to it.
        lessons_learned: free remarks.
        context: the circumstances, such as mood or topic.
        extra: fields this version does not know.
        sequence: position in the user's history, given by the store.
    """

    intervention_id: Id
    intervention_style: Label
    effectiveness_score: Score = attrs.field(converter=fields.quantise)
    outcome_type: Label = ""
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    outcome_id: Id = attrs.field(factory=fields.new_id)
    user_id: Label = ""
    session_id: Label = ""
    user_response: Text = attrs.field(default="", repr=False)
    follow_up_needed: bool = False
    lessons_learned: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    context: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    sequence: Whole | None = attrs.field(default=None, eq=False)

    def history_entry(self) -> dict[str, Any]:
        """Return the entry that `Strategy.support_history` keeps of this outcome."""
        return {
            "intervention_id": self.intervention_id,
            "intervention_style": self.intervention_style,
            "effectiveness_score": self.effectiveness_score,
            "outcome_type": self.outcome_type,
            "timestamp": self.timestamp.isoformat(),
        }


@attrs.frozen
class Strategy:
    """What was learned about supporting one user.

    Attributes:
        user_id: whom it is about.
        strategy_id: the bot's own name for it.
        communication_style: how to word things, such as ``casual`` or ``gentle``.
        effective_approaches: styles that helped, in the order they were learned; the newest `checks.MAX_MEMBERS`.
        approaches_to_avoid: styles that did not, likewise; a style may be in both.
        optimal_timing: when to offer what.
        user_preferences: free-form wishes.
        support_history: the newest `HISTORY_LIMIT` outcomes, oldest first, as the bot keeps them.
        last_updated: when it last changed.
        interventions: how many outcomes were counted.
        successes: how many of them reached `SUCCESS_AT`.
        effectiveness_sum: the sum of their scores, in units of 1e-9.
        extra: fields this version does not know.
    """

    user_id: Id
    strategy_id: Label
    communication_style: Label = "casual"
    effective_approaches: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple)
    approaches_to_avoid: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple)
    optimal_timing: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    user_preferences: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    support_history: tuple[JsonObject, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    last_updated: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    interventions: Whole = 0
    successes: Whole = 0
    effectiveness_sum: Whole = 0
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)


@attrs.frozen
class StrategyChange:
    """Something learned about supporting one user, applicable without having read what is stored.

    Attributes:
        user_id: whom it is about.
        outcomes: what came of interventions; each teaches by the learning rule.
        communication_style: the new style, or ``None`` to keep the stored one.
        effective_approaches: styles to add.
        approaches_to_avoid: styles to add.
        optimal_timing: entries to set.
        user_preferences: entries to set.
        support_history: raw history entries to append, for data adopted from elsewhere.
        removed: members or keys to take away, by the name of their field (one of `checks.REMOVABLE`).
        extra: entries to set.
        timestamp: when it was learned.
        change_id: unique; applying one change twice equals once.
    """

    user_id: Id
    outcomes: tuple[Outcome, ...] = attrs.field(default=(), converter=fields.to_tuple)
    communication_style: Label | None = None
    effective_approaches: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple)
    approaches_to_avoid: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple)
    optimal_timing: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    user_preferences: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    support_history: tuple[JsonObject, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    removed: Removals = attrs.field(factory=fields.new_table, repr=False)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def __attrs_post_init__(self) -> None:
        """Name the user in every outcome that names none."""
        if type(self.outcomes) is tuple and not all(map(_is_named, self.outcomes)):
            object.__setattr__(self, "outcomes", tuple(map(self._named, self.outcomes)))

    def apply_to(self, record: Strategy | None) -> Strategy:
        """Return ``record`` as it is after this change; ``None`` stands for a user nothing is known about."""
        before = record or Strategy(self.user_id, f"{self.user_id}_strategy", last_updated=self.timestamp)
        kept = _without(before, self.removed) if self.removed else before
        tried = [(outcome.intervention_style, outcome.effectiveness_score) for outcome in self.outcomes]
        helped = [style for style, score in tried if score >= EFFECTIVE_AT]
        failed = [style for style, score in tried if score <= AVOID_AT]
        entries = [outcome.history_entry() for outcome in self.outcomes]
        return Strategy(
            user_id=before.user_id,
            strategy_id=before.strategy_id,
            communication_style=before.communication_style
            if self.communication_style is None
            else self.communication_style,
            effective_approaches=_union(kept.effective_approaches, self.effective_approaches, helped),
            approaches_to_avoid=_union(kept.approaches_to_avoid, self.approaches_to_avoid, failed),
            optimal_timing=_updated(kept.optimal_timing, self.optimal_timing),
            user_preferences=_updated(kept.user_preferences, self.user_preferences),
            support_history=(*before.support_history, *self.support_history, *entries)[-HISTORY_LIMIT:],
            last_updated=max(before.last_updated, self.timestamp),
            interventions=before.interventions + len(tried),
            successes=before.successes + sum([score >= SUCCESS_AT for _, score in tried]),
            effectiveness_sum=before.effectiveness_sum + sum([fields.to_units(score) for _, score in tried]),
            extra=_updated(kept.extra, self.extra),
        )

    def without_outcomes(self, outcome_ids: frozenset[str]) -> StrategyChange:
        """Return this change with each outcome once, less those that the store already holds."""
        distinct = {outcome.outcome_id: outcome for outcome in reversed(self.outcomes)}
        kept = [outcome for outcome in reversed(distinct.values()) if outcome.outcome_id not in outcome_ids]
        return attrs.evolve(self, outcomes=tuple(kept))

    def _named(self, outcome: Any) -> Any:
        return outcome if _is_named(outcome) else attrs.evolve(outcome, user_id=self.user_id)


@attrs.frozen
class OutcomeQuery:
    """One page of a user's learning history, newest first.

    Attributes:
        user_id: whose history.
        limit: at most this many outcomes.
        before: only outcomes of a smaller sequence, such as the last one of the page before; ``None`` from the newest.
    """

    user_id: Id
    limit: Positive = 50
    before: Whole | None = None


def _is_named(outcome: Any) -> bool:
    return type(outcome) is not Outcome or bool(outcome.user_id)


def _without(record: Strategy, removed: Mapping[str, Sequence[str]]) -> Strategy:
    return attrs.evolve(record, **{name: _less(getattr(record, name), gone) for name, gone in removed.items()})


def _less(value: Any, gone: Sequence[str]) -> Any:
    if isinstance(value, tuple):
        return tuple(item for item in cast("tuple[Any, ...]", value) if item not in gone)
    return {key: item for key, item in value.items() if key not in gone}


def _updated(value: dict[str, Any], entries: dict[str, Any]) -> dict[str, Any]:
    return {**value, **entries} if entries else value


def _union(*parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(parts)))[-checks.MAX_MEMBERS :]
