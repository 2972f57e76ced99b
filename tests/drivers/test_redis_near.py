"""What a process holds of a conversation grows by a batch as it would by its messages one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from whisper_persistence_drivers.redis_cache.near import Held
from whisper_persistence_drivers.redis_cache.newest import Newest

from whisper_persistence import Message
from whisper_persistence.codec import encode


def said(texts: list[str]) -> list[Message]:
    return [Message("talk", "ann", "ann", text, extra={"mood": text} if "x" in text else {}) for text in texts]


texts = st.lists(st.text("ax", max_size=9), max_size=8)


@given(held=texts, new=texts, recent=st.integers(1, 6), whole=st.booleans(), known=st.integers(0, 3))
def test_a_batch_is_added_as_its_messages_would_be_one_by_one(held, new, recent, whole, known):
    before = said(held)[-recent:]
    at_once = one_by_one = Held.of(Newest(5, whole, before))
    changes = [(6 + n, encode(message).encode()) for n, message in enumerate(said(new))]
    late = [(number, b"") for number in range(6 - known, 6)]  # changes that were in there already

    at_once = at_once.appended([*late, *changes], recent)
    for change in changes:
        one_by_one = one_by_one.appended([change], recent)

    assert at_once.entries == one_by_one.entries
    assert len(at_once.entries) == min(len(before) + len(new), recent)
    assert (at_once.revision, at_once.whole, at_once.size) == (5 + len(new), one_by_one.whole, one_by_one.size)
    assert at_once.whole == (whole and len(before) + len(new) <= recent)
    assert at_once.size == Held.of(at_once.newest(0)).size


@given(missing=st.integers(0, 2), stored_before=st.booleans())
def test_what_lacks_a_change_between_is_not_kept(missing, stored_before):
    changes = [(6 + n, encode(message).encode()) for n, message in enumerate(said(["hi"] * 4))]
    changes[missing : missing + 1] = [(6 + missing, b"")] if stored_before else []

    assert Held.of(Newest(5, True, said(["hi"]))).appended(changes, 6) is None
