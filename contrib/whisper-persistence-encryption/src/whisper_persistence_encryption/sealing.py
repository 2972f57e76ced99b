"""Sealing and opening one text with the keys of its owner.

A sealed text is URL-safe base64 of: one byte that says how it was sealed, then

- for texts (AES-256-GCM, NIST SP 800-38D): 8 bytes key id, 12 random bytes nonce, ciphertext and tag;
- for words (AES-256-SIV, RFC 5297): 16 bytes synthetic nonce and ciphertext. The same word in the same place is sealed
  alike, so that a store can tell whether a set has it without being able to read it.

The associated data names namespace, owner, kind, record and field, so that what is moved elsewhere does not open.
"""

from __future__ import annotations

import os
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from whisper_persistence.codec import encode
from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import Thing
from whisper_persistence.records.checks import MAX_TEXT_BYTES
from whisper_persistence_encryption.rings import Ring

_TEXT: Final = 1
_SQUEEZED: Final = 2
_WORD: Final = 3
#: How many letters of base64 the first 9 bytes take: how it was sealed, and the key id.
_HEAD_LETTERS: Final = 12
_NONCE: Final = 12


class UnreadableError(StorageDamagedError):
    """What is stored does not open with the keys at hand."""


class AlteredError(UnreadableError):
    """What is stored was sealed with the keys at hand and is not any more what was sealed, or not where."""


@attrs.frozen
class Place:
    """Where a text belongs among all that its owner has.

    Attributes:
        kind: the kind of record.
        field: its field; never private.
        ids: the ids of the record among those of its owner.
        part: where in the field: a key, a position.
    """

    kind: str
    field: str
    ids: tuple[str, ...] = ()
    part: tuple[str, ...] = ()

    def unreadable(self) -> UnreadableError:
        """Return the error for what does not open; it names kind and field, never an id or a word."""
        return UnreadableError(
            f"{self.field} of {self.kind} cannot be opened: give the key store and the master key that it was sealed "
            "with, or restore it from a backup"
        )

    def altered(self) -> AlteredError:
        """Return the error for what was sealed with the keys at hand and does not open all the same."""
        return AlteredError(f"{self.field} of {self.kind} cannot be opened: it was altered; restore it from a backup")


@attrs.define(eq=False)
class Sealer:
    """Seals and opens with the keys of one owner.

    Attributes:
        namespace: the bot or character.
        owner: whose keys they are.
        ring: the keys.
        find: gives other owners' sealers: what was edited may be sealed with keys of its conversation.
        squeeze: whether to compress texts before they are sealed.
    """

    namespace: str
    owner: Thing
    ring: Ring
    find: Callable[[Thing], Sealer | None]
    squeeze: bool = False
    _ciphers: dict[bytes, AESGCM] = attrs.field(init=False)
    _names: AESSIV = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the ciphers ready."""
        self._ciphers = {key.key_id: AESGCM(key.secret) for key in self.ring.keys}
        self._names = AESSIV(self.ring.names)

    def seal(self, text: str, place: Place) -> str:
        """Return a text sealed for one place; sealing it again looks different."""
        key_id, nonce = self.ring.keys[-1].key_id, os.urandom(_NONCE)
        plain = zlib.compress(text.encode()) if self.squeeze else text.encode()
        head = bytes((_SQUEEZED if self.squeeze else _TEXT,)) + key_id
        sealed = self._ciphers[key_id].encrypt(nonce, plain, head + self._bound(place))
        return urlsafe_b64encode(head + nonce + sealed).decode()

    def open(self, sealed: str, place: Place) -> str:
        """Return the text that was sealed for this place.

        Raises:
            UnreadableError: it was not sealed here with these keys, or it was altered.
        """
        head = _decoded(sealed[:_HEAD_LETTERS])
        if head[1:] not in self._ciphers:
            if self._opens_under_another_head(sealed, place):
                raise place.altered()
            return self._other(place).open(sealed, place)
        try:
            return self._plain(head, _decoded(sealed[_HEAD_LETTERS:]), place).decode()
        except (InvalidTag, ValueError, zlib.error):
            raise place.altered() from None

    def _plain(self, head: bytes, rest: bytes, place: Place) -> bytes:
        bound = head + self._bound(place)
        plain = self._ciphers[head[1:]].decrypt(rest[:_NONCE], rest[_NONCE:], bound)
        return _unsqueezed(plain) if head[0] == _SQUEEZED else plain

    def _opens_under_another_head(self, sealed: str, place: Place) -> bool:
        """Say whether only the version or the key id of a text was altered, which else names keys that are not here."""
        rest = _decoded(sealed[_HEAD_LETTERS:])
        for head in (bytes((way,)) + key_id for way in (_TEXT, _SQUEEZED) for key_id in self._ciphers):
            with suppress(InvalidTag, ValueError, zlib.error):
                self._plain(head, rest, place)
                return True
        return False

    def seal_word(self, word: str, place: Place) -> str:
        """Return a word sealed for one place, always alike."""
        sealed = self._names.encrypt(word.encode(), [self._bound(place)])
        return urlsafe_b64encode(bytes((_WORD,)) + sealed).decode()

    def open_word(self, sealed: str, place: Place) -> str:
        """Return the word that was sealed for this place.

        Raises:
            UnreadableError: it was not sealed here with these keys, or it was altered.
        """
        raw = _decoded(sealed) or b"\0"
        try:
            if raw[0] == _WORD:
                return self._names.decrypt(raw[1:], [self._bound(place)]).decode()
        except (InvalidTag, ValueError):
            raise place.unreadable() from None
        raise place.unreadable()

    def _other(self, place: Place) -> Sealer:
        talks = place.kind == "messages" and self.owner.kind == "user"
        other = self.find(Thing("conversation", place.ids[0])) if talks else None
        if other is None:
            raise place.unreadable()
        return other

    def _bound(self, place: Place) -> bytes:
        owner = (self.namespace, self.owner.kind, self.owner.thing_id)
        return encode((*owner, place.kind, place.field, place.ids, place.part)).encode()


def _decoded(letters: str) -> bytes:
    """Return bytes from base64; nothing from what is none."""
    try:
        return urlsafe_b64decode(letters.encode("ascii"))
    except ValueError:
        return b""


def _unsqueezed(plain: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(plain, MAX_TEXT_BYTES)
    if reader.unconsumed_tail:
        raise ValueError("longer than any text that was sealed")
    return text
