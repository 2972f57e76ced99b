"""Broken drivers for appending and changing messages."""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import ClearMark, Message, MessageChange, MessageEdit, Receipt
from whisper_persistence.testing.broken.breaking import Breaker, caught_by, lie


@caught_by("test_two_hundred_sent_one_by_one_are_all_kept")
class DropsEvery200th(Breaker):
    """Loses one write in two hundred and says that it was kept."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append all but every 200th."""
        return [
            lie(200) if self.count("write") % 200 == 0 else (self.below.save_messages(messages=[message]) or [])[0]
            for message in messages
        ]


@caught_by("test_a_thousand_at_once_keep_their_order")
class KeepsFirstHundred(Breaker):
    """Keeps only the first hundred messages and says that it kept them all."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append a hundred."""
        room = 100 - self.world.get("kept", 0)
        self.world["kept"] = min(100, 100 - room + len(messages))
        kept = self.below.save_messages(messages=messages[:room]) or []
        return [*kept, *(lie(n) for n in range(101, 101 + len(messages) - len(kept)))]


@caught_by("test_two_conversations_in_one_batch_are_counted_apart")
class WritesHalfABatch(Breaker):
    """Stops in the middle of a batch and says that it was kept whole."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append the first half."""
        kept = self.below.save_messages(messages=messages[: (len(messages) + 1) // 2]) or []
        return [*kept, *(attrs.evolve(receipt) for receipt in kept)][: len(messages)]


@caught_by("test_a_batch_is_seen_whole_or_not_at_all")
class WritesInTwoSteps(Breaker):
    """Lets others read while half of a batch is written."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append one half, then the other."""
        half = len(messages) // 2
        first = self.below.save_messages(messages=messages[:half]) or []
        time.sleep(0.02)
        return [*first, *(self.below.save_messages(messages=messages[half:]) or [])]


@caught_by("test_a_message_of_the_greatest_length_is_kept_whole")
class TruncatesText(Breaker):
    """Keeps 65,535 characters of a message."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Append short messages."""
        return self.below.save_messages(messages=[attrs.evolve(m, content=m.content[:65_535]) for m in messages])


@caught_by("test_the_texts_of_messages_stay_exact")
class StripsText(Breaker):
    """Trims what it stores."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Append trimmed messages."""
        return self.below.save_messages(messages=[attrs.evolve(m, content=m.content.strip()) for m in messages])


@caught_by("test_a_message_sent_again_is_stored_once")
class AppendsTwice(Breaker):
    """Stores a message that is sent again as another."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Give every message an id of its own."""
        others = [attrs.evolve(m, message_id=f"{m.message_id} {self.count('write')}") for m in messages]
        return self.below.save_messages(messages=others)


@caught_by("test_a_message_sent_again_changes_nothing")
class OverwritesOnResend(Breaker):
    """Puts the words of a message that is sent again over those that were stored."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Append, then edit."""
        receipts = self.below.save_messages(messages=messages)
        edits = [MessageEdit(m.conversation_id, m.message_id, m.content) for m in messages]
        self.below.update_messages(changes=edits)
        return receipts


@caught_by("test_every_message_raises_its_conversations_revision")
class ReceiptsWithoutGrowth(Breaker):
    """Says revision 1 for every write."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append, and hide the revision."""
        return [attrs.evolve(r, revision=1) for r in self.below.save_messages(messages=messages) or []]


@caught_by("test_a_cleared_conversation_shows_only_what_comes_later")
class ForgetsMarks(Breaker):
    """Forgets that a conversation was cleared."""

    @hookimpl
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt] | None:
        """Clear nothing."""
        marks = [attrs.evolve(change, through=0) if isinstance(change, ClearMark) else change for change in changes]
        return self.below.update_messages(changes=marks)


@caught_by("test_a_mark_never_reaches_into_the_future")
class ClearsTheFuture(Breaker):
    """Hides what is said after a conversation was cleared."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt] | None:
        """Clear again what comes after a mark."""
        receipts = self.below.save_messages(messages=messages)
        cleared = [m.conversation_id for m in messages if m.conversation_id in self.world]
        self.below.update_messages(changes=[ClearMark(talk) for talk in cleared])
        return receipts

    @hookimpl
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt] | None:
        """Remember what was cleared."""
        self.world.update({change.conversation_id: True for change in changes if isinstance(change, ClearMark)})
        return self.below.update_messages(changes=changes)


@caught_by("test_an_edit_of_a_message_that_is_not_there_changes_nothing")
class EditsMakeMessages(Breaker):
    """Makes a message of an edit of one that is not there."""

    @hookimpl
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt] | None:
        """Append what is edited."""
        edited = [change for change in changes if isinstance(change, MessageEdit)]
        made = [Message(c.conversation_id, "unknown", "unknown", c.content, "user", c.message_id) for c in edited]
        self.below.save_messages(messages=made)
        return self.below.update_messages(changes=changes)
