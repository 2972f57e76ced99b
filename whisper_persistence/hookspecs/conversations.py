"""Conversations: what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whisper_persistence.hookspecs.markers import hookspec
from whisper_persistence.records import Message, MessageChange, Receipt, Window


class ConversationSpecs:
    """Conversations: what was said."""

    @hookspec(firstresult=True)
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Append messages to their conversations, in the order of the batch.

        Each gets the next sequence of its conversation. A message whose id is already stored is neither stored again
        nor changed; its receipt has the sequence of the stored one, and is marked ``repeated``.
        """

    @hookspec(firstresult=True)
    def load_messages(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]] | None:
        """Return what each window shows, oldest first; windows that show nothing are absent.

        Order is by sequence alone. Messages at or before the clear mark are not shown. The rule of `Window` about a
        reply at its beginning applies to messages that meet the window's other conditions.
        """

    @hookspec(firstresult=True)
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt] | None:
        """Edit, redact or clear by the changes' ``apply_to``; one applied before changes nothing.

        A receipt's ``sequence`` is that of the edited message, that of the mark for a `ClearMark`, and ``None`` for a
        message that does not exist.
        """
