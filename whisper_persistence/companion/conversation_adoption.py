"""Finding the messages that another cache holds, whatever it calls them, and taking a user's out of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, cast

import attrs

from whisper_persistence.companion.conversation_channel import Channel, Held
from whisper_persistence.companion.conversation_recording import Recorder
from whisper_persistence.companion.conversation_shapes import looks_like_message


@attrs.frozen
class _Place:
    """Where another cache holds messages: a channel's entry among others, and what in it has the messages."""

    entries: Mapping[Any, Any]
    key: Any
    messages: Iterable[Any]

    def replace(self, messages: list[Any]) -> None:
        """Have these messages there only; where they cannot be changed, the channel is forgotten."""
        if isinstance(self.messages, MutableSequence):
            held = cast("MutableSequence[Any]", self.messages)
            held.clear()
            held.extend(messages)
        elif isinstance(self.entries, MutableMapping):
            cast("MutableMapping[Any, Any]", self.entries).pop(self.key)


def find_messages(cache: Any) -> dict[str, list[Any]]:
    """Return the messages that a cache holds in its own attributes, by channel.

    A channel's entry is a sequence of messages, or a mapping or object whose ``messages`` is one.
    """
    found: dict[str, list[Any]] = {}
    for place in _places(cache):
        messages = [message for message in list(place.messages) if looks_like_message(message)]
        if messages:
            found.setdefault(str(place.key), []).extend(messages)
    return found


def forget_messages(cache: Any, user_id: str) -> None:
    """Take out of a cache what `find_messages` finds and would be kept as a user's: about them, or written by them."""
    recorder = Recorder()
    channels: dict[str, Channel] = {}
    for place in _places(cache):
        channel = channels.setdefault(str(place.key), Channel(str(place.key), sys.maxsize))
        held = list(place.messages)
        kept = [one for one in held if not (looks_like_message(one) and _is_of(user_id, one, channel, recorder))]
        if len(kept) < len(held):
            place.replace(kept)


def _is_of(user_id: str, message: Any, channel: Channel, recorder: Recorder) -> bool:
    record = recorder.record(channel, message)
    if record is None:  # it was never kept, and is the user's all the same
        facts = recorder.facts(message)
        return facts is not None and facts.author_id == user_id
    channel.put(Held(record, message))
    return record.belongs_to((user_id,))


def _places(cache: Any) -> Iterator[_Place]:
    for attribute in list(getattr(cache, "__dict__", {}).values()):
        if isinstance(attribute, Mapping):
            entries = cast("Mapping[Any, Any]", attribute)
            for key, entry in list(entries.items()):
                messages = _messages(entry)
                if messages is not None:
                    yield _Place(entries, key, messages)


def _messages(entry: Any) -> Iterable[Any] | None:
    if isinstance(entry, Mapping):
        entry = cast("Mapping[str, Any]", entry).get("messages")
    elif not isinstance(entry, Iterable):
        entry = getattr(entry, "messages", None)
    if not isinstance(entry, Iterable) or isinstance(entry, (str, bytes, Mapping)):
        return None
    return cast("Iterable[Any]", entry)
