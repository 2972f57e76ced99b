"""Where what a conversation shows begins, for those who read by scan."""

from __future__ import annotations

from whisper_persistence import ClearMark, Store
from whisper_persistence.clearing import first_shown
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples


def test_the_first_that_a_conversation_shows_comes_after_its_mark_and_where_none_is_shown_it_is_absent():
    with Store(Chain.build([DriverSpec("memory-fallback", {})])) as store:
        for talk in ("whole", "begun again", "cleared"):
            store.save_messages(samples.talk(3, talk))
        store.update_messages([ClearMark("begun again", 2), ClearMark("cleared")])

        talks = ["whole", "begun again", "cleared", "never begun", "whole"]
        assert first_shown(store.load_messages, talks) == {"whole": 1, "begun again": 3}


def test_any_number_of_conversations_is_asked_about_in_batches_that_a_hook_may_be_given():
    sizes: list[int] = []

    def load(windows):
        sizes.append(len(windows))
        return {windows[0]: (samples.message("talk", "hello"),)} if len(sizes) == 1 else None

    assert first_shown(load, map(str, range(2_001))) == {"0": 0}
    assert sizes == [1_000, 1_000, 1]
    assert first_shown(load, []) == {}
