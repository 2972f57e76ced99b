"""What waits is seen to be stored also where a window no longer shows it."""

from __future__ import annotations

import pytest
from whisper_persistence_drivers.net.backlog import Waiting
from whisper_persistence_drivers.net.windows import hides_stored, without_stored

from whisper_persistence import Message, Window
from whisper_persistence.testing import samples


def messages(*ids: str, talk: str = "talk") -> tuple[Message, ...]:
    return tuple(samples.message(message_id=one, conversation_id=talk) for one in ids)


@pytest.mark.parametrize(
    ("limit", "stored", "waits", "hidden"),
    [
        (3, "xy", "ab", False),  # it shows all there is
        (2, "xy", "ab", False),  # nothing is stored, or others came after all of it
        (2, "xa", "ab", False),
        (2, "ab", "ab", False),
        (2, "bc", "abc", True),
        (2, "bx", "ab", True),
        (1, "b", "a", False),
    ],
)
def test_more_is_stored_than_is_shown_where_what_came_later_is(limit, stored, waits, hidden):
    window = Window("talk", limit)

    assert hides_stored(window, messages(*stored), [("save_messages", messages(*waits))]) is hidden


def test_what_is_stored_is_left_out_of_its_own_conversation():
    own, other = messages("a", "b"), messages("a", talk="other")
    calls = {1: ("save_messages", own), 2: ("save_messages", other), 3: ("save_messages", messages("c"))}
    waiting = Waiting(calls, frozenset({1, 2}))

    left = without_stored(Window("talk"), waiting, frozenset({"b"}))

    assert [[m.message_id for m in items] for _, items in left.calls.values()] == [["b"], ["a"], ["c"]]
