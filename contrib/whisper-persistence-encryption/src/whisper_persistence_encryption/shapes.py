"""Which fields of which records are sealed, and where each belongs.

The rule: whatever a person could have written, and whatever describes a person. Ids, times, roles, names of factors and
the numbers that the store adds up stay as they are, because the store finds, orders and folds records by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import ValidationError
from whisper_persistence.validation import validate
from whisper_persistence_encryption.rules import Document, Entries, Rule, Text, Texts, Word, Words
from whisper_persistence_encryption.sealing import Place, Sealer


def _is_never_empty(rule: Rule) -> bool:
    return isinstance(rule, Word) or (isinstance(rule, Text) and rule.plain != "")


@attrs.frozen
class Field:
    """One field that is sealed.

    Attributes:
        name: the field.
        rule: how.
        kind: the kind of record that it belongs to.
        ids: the fields that name the record among those of its owner.
        label: what the field is called in its place; fields that share one share their words.
        always: whether even an empty one is sealed, so that an empty one that is not is refused.
    """

    name: str
    rule: Rule
    kind: str
    ids: tuple[str, ...] = ()
    label: str = ""
    always: bool = attrs.field(init=False, default=attrs.Factory(lambda field: _is_never_empty(field.rule), True))

    def place(self, record: Any) -> Place:
        """Return where the field of this record belongs."""
        return Place(self.kind, self.label or self.name, tuple([getattr(record, name) for name in self.ids]))


@attrs.frozen
class Nested(Rule):
    """The records that a change carries."""

    def seal(self, sealer: Sealer, place: Place, value: Sequence[Any]) -> tuple[Any, ...]:
        """Return each record sealed."""
        return tuple(_each(record, sealer, "seal") for record in value)


@attrs.frozen
class History(Rule):
    """The newest outcomes within a strategy: entries that the store made of sealed outcomes, and raw ones."""

    def seal(self, sealer: Sealer, place: Place, value: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """Return each raw entry sealed as a whole."""
        return tuple(Document().seal(sealer, place, entry) for entry in value)

    def open(self, sealer: Sealer, place: Place, value: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """Return every entry as it was."""
        return tuple(self._open(sealer, place, entry) for entry in value)

    def _open(self, sealer: Sealer, place: Place, entry: Mapping[str, Any]) -> dict[str, Any]:
        if entry.keys() != _MADE_ENTRY.keys() or any(type(entry[key]) is not kind for key, kind in _MADE_ENTRY.items()):
            return Document().open(sealer, place, entry)
        type_place = Place("outcomes", "outcome_type", (entry["intervention_id"],))
        return {
            **entry,
            "intervention_style": Word().open(sealer, _STYLES, entry["intervention_style"]),
            "outcome_type": Text().open(sealer, type_place, entry["outcome_type"]),
        }


@attrs.frozen
class Removed(Rule):
    """The members and keys that a change of a strategy takes away, by field."""

    def seal(self, sealer: Sealer, place: Place, value: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """Return each sealed as the field has it."""
        return {name: Words().seal(sealer, _PLACES[name], members) for name, members in value.items()}


_STYLES: Final = Place("strategies", "styles")
#: What the store makes of an outcome: `records.Outcome.history_entry`.
_MADE_ENTRY: Final[Mapping[str, type]] = {
    "intervention_id": str,
    "intervention_style": str,
    "effectiveness_score": float,
    "outcome_type": str,
    "timestamp": str,
}


def _strategy(*more: Field) -> tuple[Field, ...]:
    return (
        Field("communication_style", Text("casual", kept=False), "strategies"),
        Field("effective_approaches", Words(), "strategies", label=_STYLES.field),
        Field("approaches_to_avoid", Words(), "strategies", label=_STYLES.field),
        Field("optimal_timing", Entries(), "strategies"),
        Field("user_preferences", Entries(), "strategies"),
        Field("support_history", History(), "strategies"),
        Field("extra", Entries(), "strategies"),
        *more,
    )


_PLACES: Final = {field.name: Place("strategies", field.label or field.name) for field in _strategy()}
_MESSAGE: Final = ("conversation_id", "message_id")
_PATTERN: Final = (
    Field("pattern_type", Text(), "patterns", ("pattern_id",)),
    Field("keywords", Words(), "patterns", ("pattern_id",)),
    Field("extra", Entries(), "patterns", ("pattern_id",)),
)
_PREFERENCES: Final = (Field("values", Entries(), "preferences"), Field("extra", Entries(), "preferences"))
_STATISTICS: Final = (Field("extra", Entries(), "statistics"),)

#: What is sealed of each class of record and change.
SHAPES: Final[Mapping[type, tuple[Field, ...]]] = {
    rec.Message: (
        Field("content", Text(None), "messages", _MESSAGE),
        Field("author_name", Text(), "messages", _MESSAGE),
        Field("source", Text(), "messages", _MESSAGE),
        Field("extra", Document(), "messages", _MESSAGE),
    ),
    rec.MessageEdit: (Field("content", Text(None), "messages", _MESSAGE),),
    rec.Strategy: _strategy(),
    rec.StrategyChange: _strategy(Field("outcomes", Nested(), "outcomes"), Field("removed", Removed(), "strategies")),
    rec.Outcome: (
        Field("intervention_style", Word(), "strategies", label=_STYLES.field),
        Field("outcome_type", Text(), "outcomes", ("intervention_id",)),
        Field("user_response", Text(), "outcomes", ("outcome_id",)),
        Field("lessons_learned", Texts(), "outcomes", ("outcome_id",)),
        Field("context", Document(), "outcomes", ("outcome_id",)),
        Field("extra", Document(), "outcomes", ("outcome_id",)),
    ),
    rec.Statistics: _STATISTICS,
    rec.StatisticsChange: (*_STATISTICS, Field("scores", Nested(), "scores")),
    rec.MemoryScore: (
        Field("score_explanation", Text(), "scores", ("memory_id",)),
        Field("boost_events", Texts(), "scores", ("memory_id",)),
        Field("extra", Document(), "scores", ("memory_id",)),
    ),
    rec.Pattern: _PATTERN,
    rec.PatternChange: _PATTERN,
    rec.Preferences: _PREFERENCES,
    rec.PreferencesChange: (*_PREFERENCES, Field("removed", Words(), "preferences", label="values")),
}


def seal(record: Any, sealer: Sealer) -> Any:
    """Return a record or change whose private fields are sealed.

    A text that would be too long once it is sealed is compressed before.

    Raises:
        ValidationError: names the field that is too long even so.
    """
    sealed = _each(record, sealer, "seal")
    try:
        validate(sealed)
    except ValidationError:
        sealed = _each(record, attrs.evolve(sealer, squeeze=True), "seal")
        _refuse_what_is_too_long(sealed)
    return sealed


def unseal(record: Any, sealer: Sealer) -> Any:
    """Return a record as it was before it was sealed.

    Raises:
        UnreadableError: a field of it does not open.
    """
    return _each(record, sealer, "open")


def _each(record: Any, sealer: Sealer, way: str) -> Any:
    changed: dict[str, Any] = {}
    for field in _fields(record):
        value = getattr(record, field.name)
        if value or field.always:
            changed[field.name] = getattr(field.rule, way)(sealer, field.place(record), value)
    return attrs.evolve(record, **changed) if changed else record


def _fields(record: Any) -> tuple[Field, ...]:
    fields = SHAPES[type(record)]
    if isinstance(record, rec.Message) and record.is_redacted():
        return tuple(field for field in fields if field.name in ("author_name", "source"))
    return fields


def _refuse_what_is_too_long(sealed: Any) -> None:
    try:
        validate(sealed)
    except ValidationError as error:
        raise ValidationError(error.field, f"is too long to be sealed: once sealed it {error.problem}") from None
