"""What the columns of the tables are made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import TEXT, BigInteger, Column, PrimaryKeyConstraint, Text

#: Text that compares by code point on every database.
PlainText = Text().with_variant(TEXT(collation="C"), "postgresql")


def keys(*names: str) -> tuple[Any, ...]:
    """Return the columns of a primary key that leads with the namespace, and the key itself."""
    columns = [number(name) if name == "sequence" else string(name) for name in ("namespace", *names)]
    return (*columns, PrimaryKeyConstraint(*(column.name for column in columns)))


def string(name: str, **options: Any) -> Column[str]:
    """Return a column of text that is never null."""
    return Column(name, PlainText, nullable=False, **options)


def checked_record() -> tuple[Column[str], Column[int]]:
    """Return the columns of a record and of its checksum, which is null where it was never worked out."""
    return string("record"), Column("checksum", BigInteger)


def number(name: str, **options: Any) -> Column[int]:
    """Return a column of whole numbers that is never null."""
    return Column(name, BigInteger, nullable=False, **options)
