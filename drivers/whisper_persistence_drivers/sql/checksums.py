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

from collections.abc import Callable, Sequence
from operator import add
from typing import Any, TypeVar, cast
from zlib import crc32

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageDamagedError

T = TypeVar("T")

#: A record as the database gives it: bytes where that is cheaper.
Text = str | bytes


def checksum(record: Text, sequence: int = 0) -> int:
    """Return what stands beside a record."""
    return crc32(record.encode() if isinstance(record, str) else record) + sequence


def encode_checked(record: object, sequence: int = 0) -> tuple[str, int]:
    """Return a record as text, and its checksum."""
    text = encode(record)
    return text, checksum(text, sequence)


def check_each(records: Sequence[Text], checksums: Sequence[int | None], sequences: Sequence[int]) -> Sequence[bytes]:
    """Return many records as bytes, once each fits its checksum; what is done for each is done in C.

    Raises:
        StorageDamagedError: one does not.
    """
    try:
        texts: Any = records if type(records[0]) is bytes else list(map(str.encode, cast("Any", records)))
        found = tuple(map(add, map(crc32, texts), sequences))
    except TypeError:  # a null, where there may be none
        raise _damaged() from None
    if found != checksums and any(kept not in (None, told) for told, kept in zip(found, checksums, strict=True)):
        raise _damaged()
    return cast("Sequence[bytes]", texts)


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
