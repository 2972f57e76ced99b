"""What the replica keeps of each kind of record: no words, only what is counted, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final

import attrs

from whisper_persistence.records import MemoryScore, Message, Outcome, Pattern
from whisper_persistence.records.fields import to_units
from whisper_persistence.records.questions.base import context_label

#: The version of the replica's tables; a file of another version is built anew.
FORMAT: Final = "1"

#: Any, because pyarrow brings no types along.
pa: Any = import_module("pyarrow")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TIME: Final[Any] = pa.timestamp("us")


def to_micros(moment: datetime) -> int:
    """Return a moment as whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


@attrs.frozen
class Table:
    """One table of the replica.

    Attributes:
        name: its name, which is that of the kind of record.
        owner, item: the columns that are its key: whose, or in which conversation, and which.
        moment: the column of the time that exports are divided by.
        columns: the columns in order, by name.
        row: makes a row of a record.
    """

    name: str
    owner: str
    item: str
    moment: str
    columns: dict[str, Any]
    row: Callable[[Any], tuple[Any, ...]]

    @property
    def schema(self) -> Any:
        """The columns as Arrow describes them."""
        return pa.schema(list(self.columns.items()))

    def batch(self, records: Iterable[Any]) -> Any:
        """Return records as an Arrow table."""
        values = list(zip(*map(self.row, records), strict=True)) or [()] * len(self.columns)
        return pa.table(
            [_array(column, kind) for column, kind in zip(values, self.columns.values(), strict=True)], self.schema
        )

    def keys(self, keys: Sequence[tuple[str, str]]) -> Any:
        """Return keys as an Arrow table."""
        owners, items = zip(*keys, strict=True) if keys else ((), ())
        return arrow({self.owner: owners, self.item: items})


def arrow(texts: Mapping[str, Sequence[str]], **numbers: Sequence[int]) -> Any:
    """Return columns of texts and of whole numbers as an Arrow table."""
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    return pa.table({**columns, **{name: pa.array(values, pa.int64()) for name, values in numbers.items()}})


def concatenated(tables: Sequence[Any]) -> Any:
    """Return the rows of several Arrow tables as one."""
    return pa.concat_tables(tables)


def _array(values: Sequence[Any], kind: Any) -> Any:
    return pa.array(values, pa.int64()).cast(_TIME) if kind == _TIME else pa.array(values, kind)


def _score(score: MemoryScore) -> tuple[Any, ...]:
    moment = to_micros(score.calculation_timestamp)
    factors = list(score.factor_scores.items())
    return score.user_id, score.memory_id, score.sequence or 0, to_units(score.overall_score), moment, factors


def _outcome(outcome: Outcome) -> tuple[Any, ...]:
    labels = ((key, context_label(value)) for key, value in outcome.context.items())
    context = [(key, label) for key, label in labels if label is not None]
    units, moment = to_units(outcome.effectiveness_score), to_micros(outcome.timestamp)
    key = (outcome.user_id, outcome.outcome_id, outcome.sequence or 0)
    return *key, outcome.intervention_style, units, moment, context


def _pattern(pattern: Pattern) -> tuple[Any, ...]:
    sums = (pattern.frequency, pattern.confidence_sum, pattern.importance_sum)
    return pattern.user_id, pattern.pattern_id, pattern.pattern_type, *sums, to_micros(pattern.last_seen)


def _message(message: Message) -> tuple[Any, ...]:
    moment = to_micros(message.timestamp)
    return message.conversation_id, message.message_id, message.sequence or 0, message.user_id, message.role, moment


_TEXT, _WHOLE = pa.string(), pa.int64()

TABLES: Final = {
    table.name: table
    for table in (
        Table(
            "scores",
            "user_id",
            "memory_id",
            "scored_at",
            {
                "user_id": _TEXT,
                "memory_id": _TEXT,
                "sequence": _WHOLE,
                "score": _WHOLE,
                "scored_at": _TIME,
                "factors": pa.map_(_TEXT, pa.float64()),
            },
            _score,
        ),
        Table(
            "outcomes",
            "user_id",
            "outcome_id",
            "occurred_at",
            {
                "user_id": _TEXT,
                "outcome_id": _TEXT,
                "sequence": _WHOLE,
                "approach": _TEXT,
                "effectiveness": _WHOLE,
                "occurred_at": _TIME,
                "context": pa.map_(_TEXT, _TEXT),
            },
            _outcome,
        ),
        Table(
            "patterns",
            "user_id",
            "pattern_id",
            "last_seen",
            {
                "user_id": _TEXT,
                "pattern_id": _TEXT,
                "pattern_type": _TEXT,
                "frequency": _WHOLE,
                "confidence_sum": _WHOLE,
                "importance_sum": _WHOLE,
                "last_seen": _TIME,
            },
            _pattern,
        ),
        Table(
            "messages",
            "conversation_id",
            "message_id",
            "said_at",
            {
                "conversation_id": _TEXT,
                "message_id": _TEXT,
                "sequence": _WHOLE,
                "user_id": _TEXT,
                "role": _TEXT,
                "said_at": _TIME,
            },
            _message,
        ),
    )
}
