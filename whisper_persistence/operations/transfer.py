"""Reading the records of JSON Lines files, and storing each kind; ``docs/format.md`` describes the format."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs
import msgspec

from whisper_persistence import codec
from whisper_persistence.errors import ValidationError
from whisper_persistence.records import (
    RECORD_KINDS,
    MemoryScore,
    Outcome,
    Receipt,
    StatisticsChange,
    StrategyChange,
    checks,
)
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store
from whisper_persistence.validation import validate, validate_batch

#: Longest line of a file, in bytes; what is longer cannot be a legal record.
MAX_LINE_BYTES: Final = 16_000_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@attrs.define
class Batch:
    """Consecutive records of one kind in a file.

    Attributes:
        kind: which kind.
        records: the records; private.
        places: the file and line of each, such as ``talk.jsonl:7``.
        size: how many bytes of the file they take.
    """

    kind: RecordKind
    records: list[Any] = attrs.field(factory=list[Any], repr=False)
    places: list[str] = attrs.field(factory=list[str])
    size: int = 0

    def add(self, place: str, record: Any, size: int) -> None:
        """Take one more record in, with its place and its size in the file."""
        self.records.append(record)
        self.places.append(place)
        self.size += size


def read_batches(path: Path) -> Generator[Batch]:
    """Yield the records of a JSON Lines file, in its order, at most `checks.MAX_BATCH` of one kind at a time.

    Raises:
        ValidationError: a line is not a JSON object with the fields of a record; names file, line and field.
    """
    with path.open("rb") as file:
        yield from read_lines(file, path.name)


def read_lines(file: BinaryIO, name: str) -> Iterator[Batch]:
    """Yield the records of an open JSON Lines file, as `read_batches` does; ``name`` is what errors call it."""
    batch = Batch("messages")
    for number, line in enumerate(_lines(file, name), 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        kind, record = _read_record(place, line)
        if batch.kind != kind:
            if batch.records:
                yield batch
            batch = Batch(kind)
        batch.add(place, record, len(line))
        if len(batch.records) == checks.MAX_BATCH:
            yield batch
            batch = Batch(kind)
    if batch.records:
        yield batch


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise ValidationError(f"{name}:{number}", f"has more than {MAX_LINE_BYTES:,} bytes")
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line


def _read_record(place: str, line: bytes) -> tuple[RecordKind, Any]:
    try:
        mapping = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValidationError(place, "is not JSON: write one object per line") from None
    if not isinstance(mapping, dict):
        raise ValidationError(place, "is not a JSON object: write one object per line")
    fields = cast("dict[str, Any]", mapping)
    kind = fields.pop("kind", "messages")
    if not isinstance(kind, str) or kind not in RECORD_KINDS:
        raise ValidationError(f"{place}: kind", f"must be one of {', '.join(RECORD_KINDS)}")
    try:
        return kind, codec.from_mapping(cast("type[Any]", RECORD_KINDS[kind]), fields)
    except ValidationError as error:
        raise ValidationError(f"{place}: {error.field}", error.problem) from None


def checked(batch: Batch) -> Batch:
    """Return a batch, every record of which is legal.

    Raises:
        ValidationError: names file, line and field of the first such record.
    """
    if batch.kind != "outcomes" and _is_legal(batch):
        return batch
    for place, record in zip(batch.places, batch.records, strict=True):
        try:
            validate_batch([record], RECORD_KINDS[batch.kind])
            _check_owner(record)
        except ValidationError as error:
            raise ValidationError(f"{place}: {error.field}", error.problem) from None
    return batch


def _is_legal(batch: Batch) -> bool:
    """Say whether a batch is legal, which takes less time than to ask each record."""
    try:
        validate_batch(batch.records, RECORD_KINDS[batch.kind])
    except ValidationError:
        return False
    return True


def _check(record: Any) -> None:
    validate(record)
    _check_owner(record)


def _check_owner(record: Any) -> None:
    if isinstance(record, Outcome) and not record.user_id:
        raise ValidationError("Outcome.user_id", "must not be empty")


def _save_outcomes(store: Store, outcomes: Sequence[Outcome]) -> Sequence[Receipt]:
    changes = [
        StrategyChange(user_id, outcomes=tuple(own), timestamp=max(outcome.timestamp for outcome in own))
        for user_id, own in _by_user(outcomes).items()
    ]
    return store.update_strategies(changes)


def _save_scores(store: Store, scores: Sequence[MemoryScore]) -> Sequence[Receipt]:
    changes = [
        StatisticsChange(user_id, scores=tuple(own), timestamp=max(score.calculation_timestamp for score in own))
        for user_id, own in _by_user(scores).items()
    ]
    return store.update_statistics(changes)


def _by_user(records: Iterable[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for record in records:
        _check(record)
        groups.setdefault(record.user_id, []).append(record)
    return groups


#: What stores records of each kind, as they come from elsewhere: at most `checks.MAX_BATCH` at once.
SAVERS: Final[dict[RecordKind, Callable[[Store, Sequence[Any]], Sequence[Receipt]]]] = {
    "strategies": Store.save_strategies,
    "outcomes": _save_outcomes,
    "statistics": Store.save_statistics,
    "scores": _save_scores,
    "patterns": Store.save_patterns,
    "preferences": Store.save_preferences,
    "messages": Store.save_messages,
}
