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
_HEAD: Final = 9
_NONCE: Final = 12


class UnreadableError(StorageDamagedError):
    """What is stored does not open with the keys at hand."""


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
        raw = _raw(sealed, place)
        head, nonce = raw[:_HEAD], raw[_HEAD : _HEAD + _NONCE]
        cipher = self._ciphers.get(head[1:])
        if cipher is None:
            return self._other(place).open(sealed, place)
        try:
            plain = cipher.decrypt(nonce, raw[_HEAD + _NONCE :], head + self._bound(place))
            return (_unsqueezed(plain) if head[0] == _SQUEEZED else plain).decode()
        except (InvalidTag, ValueError, zlib.error):
            raise place.unreadable() from None

    def seal_word(self, word: str, place: Place) -> str:
        """Return a word sealed for one place, always alike."""
        sealed = self._names.encrypt(word.encode(), [self._bound(place)])
        return urlsafe_b64encode(bytes((_WORD,)) + sealed).decode()

    def open_word(self, sealed: str, place: Place) -> str:
        """Return the word that was sealed for this place.

        Raises:
            UnreadableError: it was not sealed here with these keys, or it was altered.
        """
        raw = _raw(sealed, place)
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


def _raw(sealed: str, place: Place) -> bytes:
    try:
        return urlsafe_b64decode(sealed.encode("ascii")) or b"\0"
    except ValueError:
        raise place.unreadable() from None


def _unsqueezed(plain: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(plain, MAX_TEXT_BYTES)
    if reader.unconsumed_tail:
        raise ValueError("longer than any text that was sealed")
    return text
