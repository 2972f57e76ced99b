"""Whose words an edit changes: an edit names its message, and only the message names its user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Message, MessageChange, MessageEdit, Thing, Window

#: How many messages each further look back into a conversation reads; edits mostly concern the newest.
_LOOKS: Final = (50, 500, 1_000, 1_000, 1_000, 1_000)


def owners_of_edits(below: Below, changes: Sequence[MessageChange]) -> dict[MessageEdit, Thing]:
    """Return whose keys are to seal the words of each edit.

    They are those of the message's user. For a message that is not among the newest that the conversation shows, and
    that may be cleared or not there at all, they are keys of the conversation.
    """
    edits = [change for change in changes if isinstance(change, MessageEdit)]
    wanted: dict[str, set[str]] = {}
    for edit in edits:
        wanted.setdefault(edit.conversation_id, set()).add(edit.message_id)
    users = {talk: _users(below, talk, ids) for talk, ids in wanted.items()}
    return {edit: users[edit.conversation_id].get(edit.message_id, _talk(edit)) for edit in edits}


def _talk(edit: MessageEdit) -> Thing:
    return Thing("conversation", edit.conversation_id)


def _users(below: Below, conversation_id: str, message_ids: set[str]) -> dict[str, Thing]:
    found: dict[str, Thing] = {}
    before: int | None = None
    for limit in _LOOKS:
        window = Window(conversation_id, limit, before)
        shown: tuple[Message, ...] = (below.load_messages(windows=[window]) or {}).get(window, ())
        found |= {one.message_id: Thing("user", one.user_id) for one in shown if one.message_id in message_ids}
        if len(shown) < limit or message_ids <= found.keys():
            break
        before = shown[0].sequence
    return found
