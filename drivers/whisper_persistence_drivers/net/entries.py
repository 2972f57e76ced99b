"""What waits to be brought in: one call each, as it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, cast

import attrs

from whisper_persistence import records as rec
from whisper_persistence.codec import decoder, encode, from_mapping, to_mapping
from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.origins import Origin

#: The hooks that put whole records, and the class of those.
SAVES: Final[dict[str, type]] = {
    "save_strategies": rec.Strategy,
    "save_statistics": rec.Statistics,
    "save_patterns": rec.Pattern,
    "save_preferences": rec.Preferences,
}
#: The hooks whose calls may travel together, since each item carries an id of its own.
MERGED: Final = frozenset(
    {"update_strategies", "update_statistics", "update_patterns", "update_preferences", "save_messages"}
    | {"update_messages"}
)
#: The hook by which users are forgotten.
ERASE: Final = "erase_users"
#: The key that every erase has, since it may change any conversation.
ERASES: Final = "e:"

_EDITS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind for kind in (rec.MessageEdit, rec.MessageRedaction, rec.ClearMark)
}
_READERS: Final[dict[str, Callable[[str], tuple[Any, ...]]]] = {
    "update_strategies": decoder(tuple[rec.StrategyChange, ...]),
    "update_statistics": decoder(tuple[rec.StatisticsChange, ...]),
    "update_patterns": decoder(tuple[rec.PatternChange, ...]),
    "update_preferences": decoder(tuple[rec.PreferencesChange, ...]),
    "save_strategies": decoder(tuple[rec.Strategy, ...]),
    "save_statistics": decoder(tuple[rec.Statistics, ...]),
    "save_patterns": decoder(tuple[rec.Pattern, ...]),
    "save_preferences": decoder(tuple[rec.Preferences, ...]),
    "save_messages": decoder(tuple[rec.Message, ...]),
    ERASE: decoder(tuple[str, ...]),
}
_read_edits = decoder(list[tuple[str, dict[str, Any]]])


@attrs.frozen
class Entry:
    """One call that was acknowledged and waits.

    Attributes:
        place: its position among all that wait; larger is later.
        change_id, writer, number, erasures: as in `Origin`.
        written_at: as in `Origin`, in whole microseconds since 1970.
        hook: which hook was asked.
        body: with what, as JSON; private.
        based_on: as in `Origin`.
        tried: whether the drivers below were asked already, and may have done it.
    """

    place: int
    change_id: str
    writer: str
    number: int
    hook: str
    body: str = attrs.field(repr=False)
    written_at: int
    erasures: int | None = None
    based_on: dict[str, int] = attrs.field(factory=dict[str, int])
    tried: bool = False

    def items(self) -> tuple[Any, ...]:
        """Return what was asked.

        Raises:
            StorageDamagedError: the body cannot be read.
        """
        if self.hook in _READERS:
            return _READERS[self.hook](self.body)
        try:
            return tuple(from_mapping(_EDITS[name], plain) for name, plain in _read_edits(self.body))
        except (KeyError, ValueError):
            raise StorageDamagedError(f"a journaled {self.hook} cannot be read") from None

    def origin(self, *, replayed: bool) -> Origin:
        """Return what the database of record is told."""
        moment = datetime.fromtimestamp(self.written_at / 1_000_000, UTC)
        erasures, based_on = self.erasures, self.based_on
        return Origin(self.change_id, self.writer, self.number, replayed, erasures, moment, based_on)

    def checksum(self) -> bytes:
        """Return the sum that tells whether what is read back is what was written."""
        told = (self.change_id, self.writer, self.number, self.hook, self.erasures, self.written_at, self.body)
        return blake2b(repr(told).encode(), digest_size=16).digest()


def body_of(hook: str, items: Sequence[Any]) -> str:
    """Return items as an entry keeps them."""
    edits = hook not in _READERS
    return encode([(type(item).__name__, to_mapping(item)) for item in items] if edits else tuple(items))


def keys_of(hook: str, items: Sequence[Any]) -> frozenset[str]:
    """Return what items are written to: users as ``u:`` and their id, conversations as ``c:`` and theirs."""
    if hook == ERASE:
        return frozenset((ERASES, *map(user_key, items)))
    if hook == "save_messages":
        messages = cast("Sequence[rec.Message]", items)
        people = (person for m in messages for person in (m.user_id, m.author_id))
        return frozenset((*map(user_key, people), *(talk_key(m.conversation_id) for m in messages)))
    return frozenset(map(thing_key, items))


def user_key(user_id: str) -> str:
    """Return the key of a user."""
    return f"u:{user_id}"


def talk_key(conversation_id: str) -> str:
    """Return the key of a conversation."""
    return f"c:{conversation_id}"


def thing_key(item: Any) -> str:
    """Return the key of the user or conversation that an item is written to; a user to forget is an id."""
    if isinstance(item, str):
        return user_key(item)
    return talk_key(item.conversation_id) if hasattr(item, "conversation_id") else user_key(item.user_id)


def thing_of_item(item: Any) -> rec.Thing:
    """Return the user or conversation that an item is written to."""
    if hasattr(item, "conversation_id"):
        return rec.Thing("conversation", item.conversation_id)
    return rec.Thing("user", item.user_id)


def key_of(thing: rec.Thing) -> str:
    """Return the key of a user or conversation."""
    return talk_key(thing.thing_id) if thing.kind == "conversation" else user_key(thing.thing_id)


def concerns(item: Any, user_ids: frozenset[str]) -> bool:
    """Say whether an item holds anything of these users."""
    if isinstance(item, rec.Message):
        return item.belongs_to(user_ids)
    return getattr(item, "user_id", None) in user_ids
