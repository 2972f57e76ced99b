"""Scanning: every record once, whatever the size of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from whisper_persistence.operations.reading import finds_messages, read_messages_of
from whisper_persistence.records import ClearMark, Message, Page
from whisper_persistence.records.conversations import Role
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.declared import kinds_of


def scan_all(store: Store, kind: RecordKind, limit: int) -> list[Any]:
    """Return every record of one kind, read in pages of at most ``limit``."""
    found: list[Any] = []
    cursor = None
    while True:
        page = store.scan(kind, cursor, limit)
        assert len(page.records) <= limit
        found += page.records
        cursor = page.cursor
        if cursor is None:
            return found


def _pages(store: Store, user_id: str, limit: int) -> Iterator[Page]:
    cursor, begun = None, False
    while cursor is not None or not begun:
        page, begun = store.chain.hook.scan_messages(user_id=user_id, cursor=cursor, limit=limit), True
        assert page is not None
        assert len(page.records) <= limit
        yield page
        cursor = page.cursor


@needs("scan")
class ScanConformance(Conformance):
    """What `scan` walks through."""

    def test_an_empty_store_has_one_empty_page(self, store: Store) -> None:
        for kind in kinds_of(self.capabilities):
            page = store.scan(kind, None, 10)

            assert (page.records, page.cursor) == ((), None)

    def test_every_record_is_seen_once_in_pages_of_any_size(self, store: Store) -> None:
        users = nasty.IDS[:12]
        for n, user in enumerate(users):
            samples.fill(store, self.capabilities, user, nasty.IDS[-1 - n])
        expected = {"strategies": 12, "outcomes": 12, "statistics": 12, "scores": 12, "patterns": 24, "messages": 36}
        for kind in kinds_of(self.capabilities):
            whole = scan_all(store, kind, 1_000)

            assert len(whole) == len({samples.exact(record) for record in whole}) == expected.get(kind, 12)
            assert scan_all(store, kind, 1) == scan_all(store, kind, 2) == scan_all(store, kind, 7) == whole

    def test_a_scan_shows_what_a_load_shows(self, store: Store) -> None:
        samples.fill(store, self.capabilities)
        loaded = samples.read(store, self.capabilities)
        for kind in kinds_of(self.capabilities):
            shown = samples.members(loaded["recent scores" if kind == "scores" else kind])

            assert sorted(map(samples.exact, scan_all(store, kind, 10))) == sorted(map(samples.exact, shown))

    @needs("conversations")
    def test_messages_come_by_conversation_and_sequence_also_cleared_ones(self, store: Store) -> None:
        store.save_messages([samples.message(talk, message_id=f"{9 - n}") for n in range(9) for talk in ("b", "a")])
        store.update_messages([ClearMark("b")])
        found: list[Message] = scan_all(store, "messages", 4)
        order = [(m.conversation_id, m.sequence) for m in found]
        first, second = dict.fromkeys(talk for talk, _ in order)

        assert order == [(talk, n) for talk in (first, second) for n in range(1, 10)]

    @needs("conversations")
    def test_the_messages_of_one_user_are_those_about_them_and_those_they_wrote(self, store: Store) -> None:
        authors: list[tuple[str, Role]] = [("a", "user"), ("c", "user"), ("c", "assistant")]
        said = [
            Message(talk, user, author, f"{n}", role, f"{user} {author} {n}")
            for n in range(3)
            for talk in nasty.IDS[:3]
            for user in ("a", "b")
            for author, role in authors
        ]
        store.save_messages(said)
        store.update_messages([ClearMark(nasty.IDS[0])])
        everything: list[Message] = scan_all(store, "messages", 1_000)
        for user in ("a", "b", "c", "d"):
            wanted = [m for m in everything if m.user_id == user or (m.role == "user" and m.author_id == user)]
            pages = [page.records for page in read_messages_of(store, user)]

            assert [message for page in pages for message in page] == wanted
            if finds_messages(store):
                assert [m for page in _pages(store, user, 4) for m in page.records] == wanted

    @needs("strategies")
    def test_what_stays_is_seen_once_while_others_write(self, store: Store) -> None:
        store.save_strategies([samples.full_strategy(f"u{n:02}") for n in range(0, 40, 2)])
        page = store.scan("strategies", None, 5)
        seen = list(page.records)
        while page.cursor is not None:
            store.save_strategies([attrs.evolve(seen[-1], communication_style="touched")])
            store.save_strategies([samples.full_strategy(f"u{len(seen):02}x"), samples.full_strategy("a")])
            page = store.scan("strategies", page.cursor, 5)
            seen += page.records
        users = [strategy.user_id for strategy in seen]

        assert len(users) == len(set(users))
        assert {f"u{n:02}" for n in range(0, 40, 2)} <= set(users)
