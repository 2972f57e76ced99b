"""How values are bound: arrays in binary form in one pass, where psycopg asks about each value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import add
from struct import Struct
from typing import Any, Final

from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format
from psycopg.types.numeric import Int8

_INFO: Final = {name: types[name] for name in ("text", "int8")}
#: Dimensions, whether there are nulls, the elements' type; then, of the one dimension, its length and first place.
_EMPTY: Final = Struct("!iiI")
_HEAD: Final = Struct("!iiIii")
_LENGTH: Final = Struct("!i")
_NUMBER: Final = Struct("!iq")
_NULL: Final = b"\xff\xff\xff\xff"


class Texts(list[Any]):
    """A column of texts, some of which may be missing."""


class EncodedTexts(list[bytes]):
    """A column of texts in UTF-8, none of which is missing."""


class Numbers(list[int]):
    """A column of whole numbers of 64 bits, none of which is missing."""


class TextsDumper(Dumper):
    """Writes `Texts` as the server reads ``text[]``."""

    format = Format.BINARY
    oid = _INFO["text"].array_oid

    def dump(self, obj: Any) -> bytes:
        """Return the array."""
        return _array("text", written(obj), len(obj), missing=None in obj)


class EncodedTextsDumper(Dumper):
    """Writes `EncodedTexts` as the server reads ``text[]``."""

    format = Format.BINARY
    oid = _INFO["text"].array_oid

    def dump(self, obj: Any) -> bytes:
        """Return the array."""
        return _array("text", _counted(obj), len(obj))


class NumbersDumper(Dumper):
    """Writes `Numbers` as the server reads ``bigint[]``."""

    format = Format.BINARY
    oid = _INFO["int8"].array_oid

    def dump(self, obj: Any) -> bytes:
        """Return the array."""
        return _array("int8", written(obj), len(obj))


def _array(element: str, values: Iterable[bytes], length: int, *, missing: bool = False) -> bytes:
    """Return an array of one dimension of values that are written already, or an empty one, which has none."""
    kind = _INFO[element].oid
    head = _HEAD.pack(1, int(missing), kind, length, 1) if length else _EMPTY.pack(0, 0, kind)
    return head + b"".join(values)


def written(values: Sequence[Any]) -> Iterable[bytes]:
    """Return each of a column's values as its length and its binary form; texts may be missing, numbers not."""
    if type(values[0] if values else None) is int:
        return map(_NUMBER.pack, repeat(_NUMBER.size - _LENGTH.size), values)
    if None not in values:
        return _counted(list(map(str.encode, values)))
    return [_NULL if text is None else b"".join(_counted([text.encode()])) for text in values]


def _counted(texts: Sequence[bytes]) -> Iterable[bytes]:
    return map(add, map(_LENGTH.pack, map(len, texts)), texts)


def teach(connection: Connection[Any]) -> None:
    """Have a connection write these arrays."""
    connection.adapters.register_dumper(Texts, TextsDumper)
    connection.adapters.register_dumper(EncodedTexts, EncodedTextsDumper)
    connection.adapters.register_dumper(Numbers, NumbersDumper)


def to_array(values: list[Any]) -> list[Any]:
    """Return a column so that it is written quickly, where it is a list of texts or of whole numbers."""
    if type(values) is not list:
        return values
    first = next((value for value in values if value is not None), None)
    if first is None or type(first) is str:
        return Texts(values)
    return Numbers(values) if type(first) is int else values


def to_scalar(value: Any) -> Any:
    """Return a value so that its type on the server does not depend on how large it is, or how it is held here."""
    if type(value) is bytes:
        return value.decode()
    return Int8(value) if type(value) is int else value
