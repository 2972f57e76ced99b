"""Finding the messages that another cache holds, whatever it calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from whisper_persistence.companion.conversation_shapes import looks_like_message


def find_messages(cache: Any) -> dict[str, list[Any]]:
    """Return the messages that a cache holds in its own attributes, by channel.

    A channel's entry is a sequence of messages, or a mapping or object whose ``messages`` is one.
    """
    found: dict[str, list[Any]] = {}
    for attribute in list(getattr(cache, "__dict__", {}).values()):
        if isinstance(attribute, Mapping):
            for key, entry in list(cast("Mapping[Any, Any]", attribute).items()):
                messages = _messages(entry)
                if messages:
                    found.setdefault(str(key), []).extend(messages)
    return found


def _messages(entry: Any) -> list[Any]:
    if isinstance(entry, Mapping):
        entry = cast("Mapping[str, Any]", entry).get("messages")
    elif not isinstance(entry, Iterable):
        entry = getattr(entry, "messages", None)
    if not isinstance(entry, Iterable) or isinstance(entry, (str, bytes, Mapping)):
        return []
    return [message for message in list(cast("Iterable[Any]", entry)) if looks_like_message(message)]
