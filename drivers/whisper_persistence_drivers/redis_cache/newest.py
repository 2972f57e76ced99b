"""The newest messages of a conversation, and which windows they can answer."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from whisper_persistence.records import Message, Window


@attrs.frozen
class Newest:
    """The newest messages of one conversation that are shown, with none of those between them missing.

    Attributes:
        revision: the conversation's, which these messages are known to have reached.
        whole: whether there are no older ones.
        messages: oldest first.
    """

    revision: int
    whole: bool
    messages: Sequence[Message]

    @classmethod
    def of(cls, revision: int, newest: Sequence[Message], limit: int) -> Newest:
        """Return what was read through a window of ``limit + 1``; it keeps ``limit`` messages.

        A window takes the question along that its first message answers, which may stand far before it; whatever there
        is more than asked for is left out.
        """
        return cls(revision, len(newest) <= limit, newest[-limit:])

    def show(self, window: Window) -> tuple[Message, ...] | None:
        """Return what a window shows; ``None`` where that cannot be known from here."""
        seen = self.messages
        if window.after is not None and not self._reaches(window.after):
            return None
        if not is_plain(window):
            seen = [message for message in seen if _lets_through(window, message)]
        if window.after is not None:
            return tuple(seen[: window.limit])
        if len(seen) < window.limit and not self.whole:
            return None
        return self._with_question(seen, window)

    def _reaches(self, sequence: int) -> bool:
        """Say whether every message that follows a sequence is in here."""
        first = self.messages[0].sequence if self.messages else None
        return self.whole or (first is not None and sequence >= first - 1)

    def _with_question(self, seen: Sequence[Message], window: Window) -> tuple[Message, ...] | None:
        shown = seen[-window.limit :]
        asked = shown[0].in_reply_to if shown else None
        if asked is None:
            return tuple(shown)
        earlier = seen[: -window.limit] if len(seen) > window.limit else ()
        found = [message for message in earlier if message.message_id == asked]
        if found or self.whole or any(message.message_id == asked for message in self.messages):
            return (*found, *shown)
        return None


def is_plain(window: Window) -> bool:
    """Say whether a window asks for the newest messages, of whomever."""
    return window.before is None and window.after is None and window.user_id is None


def _lets_through(window: Window, message: Message) -> bool:
    place = message.sequence or 0
    return (
        (window.before is None or place < window.before)
        and (window.after is None or place > window.after)
        and window.user_id in (None, message.user_id)
    )
