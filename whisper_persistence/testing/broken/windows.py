"""Broken drivers for reading conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import Message, Window
from whisper_persistence.testing.broken.breaking import Breaker, caught_by

Shown = Mapping[Window, tuple[Message, ...]]


class _SpoilsWindows(Breaker):
    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> Shown:
        """Return what other windows show."""
        asked = {window: self.spoil(window) for window in windows}
        found = self.below.load_messages(windows=list(asked.values())) or {}
        return {window: self.show(window, found[other]) for window, other in asked.items() if other in found}

    def spoil(self, window: Window) -> Window:
        """Return the window that is asked instead."""
        return window

    def show(self, window: Window, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return what is shown instead."""
        return messages


@caught_by("test_the_clock_changes_nothing")
class OrdersByClock(_SpoilsWindows):
    """Orders by the time that messages carry."""

    def show(self, window: Window, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Sort by time."""
        return tuple(sorted(messages, key=lambda message: message.timestamp))


@caught_by("test_before_shows_the_newest_that_precede")
class IgnoresBefore(_SpoilsWindows):
    """Never looks where a page is to end."""

    def spoil(self, window: Window) -> Window:
        """Forget the end."""
        return attrs.evolve(window, before=None)


@caught_by("test_a_user_sees_what_concerns_them")
class IgnoresUser(_SpoilsWindows):
    """Shows everybody everything."""

    def spoil(self, window: Window) -> Window:
        """Forget the user."""
        return attrs.evolve(window, user_id=None)


@caught_by("test_the_newest_come_oldest_first")
class OldestForNewest(_SpoilsWindows):
    """Shows the oldest messages where the newest are asked."""

    def spoil(self, window: Window) -> Window:
        """Read from the beginning."""
        return attrs.evolve(window, after=0) if window.after is None else window


@caught_by("test_a_reply_takes_its_question_along")
class CutsReplies(_SpoilsWindows):
    """Shows a reply without its question."""

    def show(self, window: Window, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Keep to the limit."""
        return messages[-window.limit :]


@caught_by("test_what_is_stored_is_there_at_every_read")
class HidesAnOutage(Breaker):
    """Answers that there is nothing when the storage does not answer, which is now and then."""

    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> Shown | None:
        """Return nothing for every seventh read."""
        try:
            return self._read(windows)
        except StorageUnavailableError:
            return {}

    def _read(self, windows: Sequence[Window]) -> Shown | None:
        if self.count("read") % 7 == 0:
            raise StorageUnavailableError("the storage did not answer")
        return self.below.load_messages(windows=windows)
