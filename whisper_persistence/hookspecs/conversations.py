"""The talk itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whisper_persistence.hookspecs.markers import hookspec
from whisper_persistence.records import Message, MessageChange, Receipt, Window


class ConversationSpecs:
    """The talk itself."""

    @hookspec(firstresult=True)
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Append messages to their conversations, in the order of the batch.

        The store gives each the next sequence of its conversation. A message whose id is stored already is not stored
        again and not changed: its receipt names the sequence it has, and says that it is ``repeated``.
        """

    @hookspec(firstresult=True)
    def load_messages(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]] | None:
        """Return what each window shows, oldest first; windows that show nothing are absent.

        Order is by sequence alone. Messages at or before the clear mark are not shown. What `Window` says of a reply at
        the beginning of a window holds for messages that the window's other conditions let through.
        """

    @hookspec(firstresult=True)
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt] | None:
        """Edit, redact or clear by the changes' ``apply_to``; one applied before changes nothing.

        A receipt's ``sequence`` is that of the edited message, the mark's for a `ClearMark`, and ``None`` for a message
        that is not there.
        """
