"""A checksum beside every record that is returned: flipped bytes may leave it legible, and SQLite does not look.

**What it covers.** CRC-32 (`zlib.crc32`) of the record's text as UTF-8, plus the sequence where one stands in a column
alone: of messages, outcomes and scores. It finds every flip of up to 32 neighbouring bits, and all but one in four
billion of others. It is against accidents; hash chains and the encryption driver are against malice.

**What it does not cover.** Columns that only repeat what the record says, to find and count by: a scan compares those
with the record (`whisper_persistence_drivers.sql.scanned`). Rows of plain counters (revisions, a user's totals), which
never come back as content and change with every write. Vectors and words of the index, which are made anew from
records. What is kept in ``conflicts``, which nobody is given.

A checksum that is missing is not compared: an upgrade on a PostgreSQL server before version 18, which knows no CRC-32,
leaves the rows that are there without, until they are written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import add
from typing import Any, TypeVar
from zlib import crc32

from whisper_persistence.codec import decoder, encode_utf8
from whisper_persistence.errors import StorageDamagedError

T = TypeVar("T")

#: A record as the database gives it: bytes where that is cheaper.
Text = str | bytes


def checksum(record: Text, sequence: int = 0) -> int:
    """Return what stands beside a record."""
    return crc32(record.encode() if isinstance(record, str) else record) + sequence


def encode_checked(record: object, sequence: int = 0) -> tuple[str, int]:
    """Return a record as text, and its checksum."""
    text = encode_utf8(record)
    return text.decode(), crc32(text) + sequence


def encode_all_checked(records: Sequence[object]) -> tuple[list[bytes], list[int]]:
    """Return records as text in UTF-8, and the checksums of those that have no sequence."""
    texts = list(map(encode_utf8, records))
    return texts, list(map(crc32, texts))


def checked_all(
    record_type: type[T], text: int, kept: int, sequence: int | None = None
) -> Callable[[Sequence[Any]], list[T]]:
    """Return a function from many rows to their records, all in one step: what is done for each is done in C.

    It raises `StorageDamagedError` where one does not fit, or is not JSON of that shape.

    Args:
        record_type: the class of the records.
        text: the place of the record in a row.
        kept: that of its checksum.
        sequence: that of its sequence, or ``None`` where it has none.
    """
    decode = decoder(list[record_type])  # type: ignore[valid-type]

    def read(rows: Sequence[Any]) -> list[T]:
        if not rows:
            return []
        columns = tuple(zip(*rows, strict=True))
        texts = _fitting(columns[text], columns[kept], repeat(0) if sequence is None else columns[sequence])
        records: list[T] = decode(b"[%b]" % b",".join(texts))
        if len(records) != len(rows):
            raise _damaged()
        return records

    return read


def _fitting(records: Sequence[Any], checksums: Sequence[int | None], sequences: Iterable[int]) -> Sequence[bytes]:
    """Return records as bytes, once each fits its checksum."""
    try:
        texts = records if type(records[0]) is bytes else list(map(str.encode, records))
        found = tuple(map(add, map(crc32, texts), sequences))
    except TypeError:  # a null, where there may be none
        raise _damaged() from None
    if found != checksums and any(kept not in (None, told) for told, kept in zip(found, checksums, strict=True)):
        raise _damaged()
    return texts


def checked(record_type: type[T]) -> Callable[..., T]:
    """Return a function from a record's text, checksum and sequence, 0 where it has none, to the record.

    It raises `StorageDamagedError` for what does not fit, or is not JSON of that shape.
    """
    decode = decoder(record_type)

    def read(record: Text, kept: int | None, sequence: int = 0) -> T:
        try:
            fits = kept is None or kept == checksum(record, sequence)
        except TypeError:
            fits = False
        if not fits:
            raise _damaged()
        return decode(record)

    return read


def _damaged() -> StorageDamagedError:
    return StorageDamagedError("a stored record does not fit its checksum: restore it from a backup")
