"""Messages: appended, read through windows, edited, redacted and cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Receipt,
    Window,
)
from whisper_persistence_drivers.memory.log import MessageRow
from whisper_persistence_drivers.memory.state import Conversation, State

_read = decoder(Message)
_Found = list[tuple[int, MessageRow]]


def save_messages(state: State, messages: Sequence[Message]) -> list[Receipt]:
    """Append messages, each once."""
    return [_append(state, message) for message in messages]


def _append(state: State, message: Message) -> Receipt:
    conversation = state.peek_conversation(message.conversation_id)
    stored = conversation.messages.sequence(message.message_id)
    if stored is not None:
        return conversation.receipt(stored, repeated=True)
    row = _row(attrs.evolve(message, sequence=conversation.sequence + 1))
    conversation = state.conversations[message.conversation_id]
    sequence = conversation.take_sequence()
    conversation.messages.append(sequence, row)
    conversation.revision += 1
    state.notify("messages", message.conversation_id, message.message_id, conversation.revision)
    state.notify("conversations", message.conversation_id, "", conversation.revision)
    return conversation.receipt(sequence, repeated=False)


def _row(message: Message) -> MessageRow:
    author = message.author_id if message.role == "user" else ""
    return MessageRow(message.message_id, encode(message), message.user_id, author, message.in_reply_to)


def load_messages(state: State, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]]:
    """Return what each window shows."""
    found = {window: _look(state.peek_conversation(window.conversation_id), window) for window in windows}
    return {window: tuple(_read(row.text) for _, row in rows) for window, rows in found.items() if rows}


def _look(conversation: Conversation, window: Window) -> _Found:
    if window.message_id is not None:
        return _named(conversation, window, window.message_id)
    if window.after is not None:
        after = max(window.after, conversation.cleared)
        following = conversation.messages.oldest(after, window.before)
        return list(islice((found for found in following if _shows(window, found[1])), window.limit))
    preceding = conversation.messages.newest(window.before, conversation.cleared)
    newest = list(islice((found for found in preceding if _shows(window, found[1])), window.limit))[::-1]
    return _question(conversation, window, newest) + newest


def _named(conversation: Conversation, window: Window, message_id: str) -> _Found:
    """Return the one message of this id, if the window lets it through."""
    sequence, row = conversation.messages.sequence(message_id), conversation.messages.get(message_id)
    if sequence is None or row is None or not _shows(window, row):
        return []
    seen = max(window.after or 0, conversation.cleared) < sequence
    return [(sequence, row)] if seen and (window.before is None or sequence < window.before) else []


def _shows(window: Window, row: MessageRow) -> bool:
    return window.user_id is None or row.user_id == window.user_id


def _question(conversation: Conversation, window: Window, shown: _Found) -> _Found:
    """Return the question that the oldest message shown answers, if the window lets it through."""
    answered = shown[0][1].in_reply_to if shown else None
    sequence = conversation.messages.sequence(answered) if answered else None
    row = conversation.messages.get(answered) if answered else None
    if row is None or sequence is None or not conversation.cleared < sequence < shown[0][0]:
        return []
    return [(sequence, row)] if _shows(window, row) else []


def update_messages(state: State, changes: Sequence[MessageChange]) -> list[Receipt]:
    """Edit, redact and clear, in order."""
    return [_clear(state, change) if isinstance(change, ClearMark) else _edit(state, change) for change in changes]


def _clear(state: State, mark: ClearMark) -> Receipt:
    if mark.change_id in state.applied:
        conversation = state.peek_conversation(mark.conversation_id)
        return conversation.receipt(conversation.cleared)
    state.applied.add(mark.change_id)
    conversation = state.conversations[mark.conversation_id]
    conversation.cleared = mark.apply_to(conversation.cleared, conversation.sequence)
    conversation.revision += 1
    state.notify_of_amendment(mark.conversation_id, conversation.revision)
    return conversation.receipt(conversation.cleared, repeated=False)


def _edit(state: State, change: MessageEdit | MessageRedaction) -> Receipt:
    conversation = state.peek_conversation(change.conversation_id)
    row = conversation.messages.get(change.message_id)
    sequence = conversation.messages.sequence(change.message_id)
    if row is None or sequence is None or change.change_id in state.applied:
        return conversation.receipt(sequence)
    conversation.messages.replace(_row(change.apply_to(_read(row.text))))
    state.applied.add(change.change_id)
    conversation.revision += 1
    state.notify("messages", change.conversation_id, change.message_id, conversation.revision)
    state.notify_of_amendment(change.conversation_id, conversation.revision)
    return conversation.receipt(sequence, repeated=False)
