"""How values are bound: arrays in binary form in one pass, where psycopg asks about each value."""

from __future__ import annotations

from itertools import repeat
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


class Numbers(list[int]):
    """A column of whole numbers of 64 bits, none of which is missing."""


class TextsDumper(Dumper):
    """Writes `Texts` as the server reads ``text[]``."""

    format = Format.BINARY
    oid = _INFO["text"].array_oid

    def dump(self, obj: Any) -> bytes:
        """Return the array."""
        texts = [_NULL if text is None else _counted(text.encode()) for text in obj]
        return _array("text", texts, missing=None in obj)


class NumbersDumper(Dumper):
    """Writes `Numbers` as the server reads ``bigint[]``."""

    format = Format.BINARY
    oid = _INFO["int8"].array_oid

    def dump(self, obj: Any) -> bytes:
        """Return the array."""
        return _array("int8", list(map(_NUMBER.pack, repeat(_NUMBER.size - _LENGTH.size), obj)))


def _array(element: str, values: list[bytes], *, missing: bool = False) -> bytes:
    """Return an array of one dimension of values that are written already, or an empty one, which has none."""
    kind = _INFO[element].oid
    head = _HEAD.pack(1, int(missing), kind, len(values), 1) if values else _EMPTY.pack(0, 0, kind)
    return head + b"".join(values)


def _counted(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text


def teach(connection: Connection[Any]) -> None:
    """Have a connection write these arrays."""
    connection.adapters.register_dumper(Texts, TextsDumper)
    connection.adapters.register_dumper(Numbers, NumbersDumper)


def to_array(values: list[Any]) -> list[Any]:
    """Return a column of rows so that it is written quickly, where it is one of texts or of whole numbers."""
    first = next((value for value in values if value is not None), None)
    if first is None or type(first) is str:
        return Texts(values)
    return Numbers(values) if type(first) is int else values


def to_scalar(value: Any) -> Any:
    """Return a value so that its type on the server does not depend on how large it is."""
    return Int8(value) if type(value) is int else value
