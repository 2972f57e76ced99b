"""How one field of a record is sealed and opened: one class a way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageDamagedError
from whisper_persistence_encryption.sealing import Place, Sealer

#: The key of a JSON object that was sealed as a whole.
_WHOLE: Final = "sealed"
_read_json: Final = decoder(object)


class Rule(Protocol):
    """A way to seal a field."""

    def seal(self, sealer: Sealer, place: Place, value: Any) -> Any:
        """Return the field sealed."""
        ...

    def open(self, sealer: Sealer, place: Place, value: Any) -> Any:
        """Return the field as it was; what only changes carry is never read back."""
        raise place.altered()


@attrs.frozen
class Text(Rule):
    """A text by itself.

    Attributes:
        plain: the one text that may stand there unsealed: nothing, or what the store puts there by itself.
        kept: whether that text is left unsealed.
    """

    plain: str | None = ""
    kept: bool = True

    def seal(self, sealer: Sealer, place: Place, value: str | None) -> str | None:
        """Return the text sealed."""
        return value if value is None or (self.kept and value == self.plain) else sealer.seal(value, place)

    def open(self, sealer: Sealer, place: Place, value: str) -> str:
        """Return the text as it was."""
        return value if value == self.plain else sealer.open(value, place)


@attrs.frozen
class Texts(Rule):
    """A list of texts that nothing is added to."""

    def seal(self, sealer: Sealer, place: Place, value: Sequence[str]) -> tuple[str, ...]:
        """Return each text sealed for its position."""
        return tuple(sealer.seal(text, _at(place, str(n))) for n, text in enumerate(value))

    def open(self, sealer: Sealer, place: Place, value: Sequence[str]) -> tuple[str, ...]:
        """Return the texts as they were."""
        return tuple(sealer.open(text, _at(place, str(n))) for n, text in enumerate(value))


@attrs.frozen
class Word(Rule):
    """A text that the store compares with others."""

    def seal(self, sealer: Sealer, place: Place, value: str) -> str:
        """Return the word sealed, always alike."""
        return sealer.seal_word(value, place)

    def open(self, sealer: Sealer, place: Place, value: str) -> str:
        """Return the word as it was."""
        return sealer.open_word(value, place)


@attrs.frozen
class Words(Rule):
    """A set of texts that the store adds to and takes from."""

    def seal(self, sealer: Sealer, place: Place, value: Iterable[str]) -> tuple[str, ...]:
        """Return each word sealed, always alike."""
        return tuple(sealer.seal_word(word, place) for word in value)

    def open(self, sealer: Sealer, place: Place, value: Iterable[str]) -> tuple[str, ...]:
        """Return the words as they were."""
        return tuple(sealer.open_word(word, place) for word in value)


@attrs.frozen
class Document(Rule):
    """A JSON object that is only ever put as a whole."""

    def seal(self, sealer: Sealer, place: Place, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object with the sealed one in it; an empty one stays empty."""
        return {_WHOLE: sealer.seal(encode(value), place)} if value else {}

    def open(self, sealer: Sealer, place: Place, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as it was."""
        if not value:
            return {}
        if list(value) != [_WHOLE] or type(value[_WHOLE]) is not str:
            raise place.altered()
        return cast("dict[str, Any]", read_json(sealer, place, value[_WHOLE]))


@attrs.frozen
class Entries(Rule):
    """A JSON object whose entries the store sets and removes one by one."""

    def seal(self, sealer: Sealer, place: Place, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object with each key sealed, always alike, and each entry sealed for its key."""
        return {sealer.seal_word(key, place): sealer.seal(encode(item), _at(place, key)) for key, item in value.items()}

    def open(self, sealer: Sealer, place: Place, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as it was."""
        keys = {key: sealer.open_word(key, place) for key in value}
        return {keys[key]: read_json(sealer, _at(place, keys[key]), item) for key, item in value.items()}


def read_json(sealer: Sealer, place: Place, sealed: Any) -> Any:
    """Return the JSON that was sealed for this place.

    Raises:
        UnreadableError: it does not open.
    """
    if type(sealed) is not str:
        raise place.altered()
    text = sealer.open(sealed, place)
    try:
        return _read_json(text)
    except StorageDamagedError:
        raise place.altered() from None


def _at(place: Place, part: str) -> Place:
    return attrs.evolve(place, part=(part,))
