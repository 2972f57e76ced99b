"""The data keys of one owner: a user, or a conversation where the user cannot be told."""

from __future__ import annotations

import os
from typing import Final

import attrs

#: What a ring begins with: the version of its layout.
_LAYOUT: Final = b"\x01"
_NAMES: Final = 64
_KEY_ID: Final = 8
_MADE: Final = 8
_SECRET: Final = 32


@attrs.frozen
class DataKey:
    """One AES-256 key.

    Attributes:
        key_id: what its sealed texts name it by; 8 random bytes.
        made: when it was made, in seconds since 1970.
        secret: the key.
    """

    key_id: bytes
    made: int
    secret: bytes = attrs.field(repr=False)

    @classmethod
    def new(cls, now: float) -> DataKey:
        """Return a new random key."""
        return cls(os.urandom(_KEY_ID), int(now), os.urandom(_SECRET))


@attrs.frozen
class Ring:
    """All data keys of one owner.

    Attributes:
        names: the AES-256-SIV key for names and members of sets. It is never renewed, because the same word must be
            sealed alike for as long as the owner is known.
        keys: the keys for everything else, the newest last; the older ones only open.
    """

    names: bytes = attrs.field(repr=False)
    keys: tuple[DataKey, ...]

    @classmethod
    def new(cls, now: float) -> Ring:
        """Return a ring with one key."""
        return cls(os.urandom(_NAMES), (DataKey.new(now),))

    def renewed(self, now: float) -> Ring:
        """Return the ring with one more key, which seals from now on."""
        return attrs.evolve(self, keys=(*self.keys, DataKey.new(now)))

    def to_bytes(self) -> bytes:
        """Return the ring as it is wrapped."""
        keys = (key.key_id + key.made.to_bytes(_MADE, "big") + key.secret for key in self.keys)
        return _LAYOUT + self.names + b"".join(keys)

    @classmethod
    def from_bytes(cls, plain: bytes) -> Ring:
        """Return the ring that `to_bytes` wrote.

        Raises:
            ValueError: it is not one.
        """
        size = _KEY_ID + _MADE + _SECRET
        names, rest = plain[1 : 1 + _NAMES], plain[1 + _NAMES :]
        if plain[:1] != _LAYOUT or not rest or len(rest) % size:
            raise ValueError("not a ring of data keys")
        parts = (rest[start : start + size] for start in range(0, len(rest), size))
        return cls(names, tuple(_read_key(part) for part in parts))


def _read_key(part: bytes) -> DataKey:
    made, secret = part[_KEY_ID : _KEY_ID + _MADE], part[_KEY_ID + _MADE :]
    return DataKey(part[:_KEY_ID], int.from_bytes(made, "big"), secret)
