"""Records to JSON and back: one codec for every driver, file and follower.

msgspec writes and reads attrs classes directly. Times are ISO 8601 in UTC, tuples are arrays, and what a class does
not know is kept in its ``extra`` field by `from_mapping`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs
import msgspec

from whisper_persistence.errors import StorageDamagedError, ValidationError

T = TypeVar("T")
R = TypeVar("R", bound=attrs.AttrsInstance)

#: Returns a record, or plain JSON data, as JSON text in UTF-8.
encode_utf8: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def encode(value: Any) -> str:
    """Return a record, or plain JSON data, as JSON text."""
    return encode_utf8(value).decode()


def decoder(record_type: type[T]) -> Callable[[str | bytes], T]:
    """Return a function from JSON text to a record of this class.

    It raises `StorageDamagedError` for what is not JSON of that shape.
    """
    decode = msgspec.json.Decoder(record_type).decode

    def read(text: str | bytes) -> T:
        try:
            return decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            name = getattr(record_type, "__name__", str(record_type))
            raise StorageDamagedError(f"a stored {name} cannot be read: restore it from a backup") from None

    return read


def to_mapping(record: Any) -> dict[str, Any]:
    """Return a record as plain JSON data, for a line of a file or a row of a table."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain


def from_mapping(record_type: type[R], mapping: Mapping[str, Any]) -> R:
    """Return a record from plain JSON data; keys that the class does not know go into ``extra``.

    Raises:
        ValidationError: names the class and says which key is missing or has the wrong type.
    """
    known = {field.name for field in attrs.fields(record_type)}
    unknown = {key: value for key, value in mapping.items() if key not in known}
    plain = {key: value for key, value in mapping.items() if key in known}
    extra = plain.get("extra", {})
    if unknown and "extra" in known and isinstance(extra, dict):
        plain["extra"] = {**extra, **unknown}
    try:
        record = msgspec.convert(plain, record_type)
    except msgspec.ValidationError as error:
        raise ValidationError(record_type.__name__, f"cannot be read: {error}") from None
    return cast("R", attrs.evolve(cast("Any", record)))
