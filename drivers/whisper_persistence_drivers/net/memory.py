"""What was read, as far as it is safe to serve again: bounded, and kept up to date with this process's own writes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from whisper_persistence.records import Receipt
from whisper_persistence_drivers import forks
from whisper_persistence_drivers.net.entries import ERASE, keys_of
from whisper_persistence_drivers.net.folds import FAMILY, UNKNOWN, fold, thing_of

#: How many answers about one user or conversation are remembered.
_ANSWERS: Final = 16


@attrs.define(eq=False)
class _Page:
    """What is remembered of one user or conversation.

    Attributes:
        revision: the last that is known; ``None`` where none is.
        writes: how many writes began or ended.
        answers: what was answered, by hook and question.
    """

    revision: int | None = None
    writes: int = 0
    answers: dict[tuple[str, Any], Any] = attrs.field(factory=dict[tuple[str, Any], Any])


@attrs.define(eq=False, weakref_slot=True)
class Memory:
    """What was read of the users and conversations met last. Thread-safe.

    Attributes:
        most: of how many.
    """

    most: int
    _pages: OrderedDict[str, _Page] = attrs.field(factory=OrderedDict[str, _Page], init=False)
    _lock: Any = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        """Be known to forks."""
        forks.watch(self)

    def begin_read(self, asked: Sequence[Any]) -> list[int]:
        """Return what `remember` needs to tell whether anything was written while it was read."""
        with self._lock:
            return [self._page(thing_of(one)).writes for one in asked]

    def remember(self, hook: str, asked: Sequence[Any], found: Mapping[Any, Any], before: list[int]) -> None:
        """Remember answers, unless something was written meanwhile."""
        with self._lock:
            for one, writes in zip(asked, before, strict=True):
                page = self._page(thing_of(one))
                if page.writes == writes:
                    page.answers.pop((hook, one), None)
                    page.answers[hook, one] = found.get(one)
                    if len(page.answers) > _ANSWERS:
                        del page.answers[next(iter(page.answers))]

    def recall(self, hook: str, one: Any) -> Any:
        """Return what was answered, ``None`` for absent, `UNKNOWN` where it is not remembered."""
        with self._lock:
            page = self._pages.get(thing_of(one))
            return UNKNOWN if page is None else page.answers.get((hook, one), UNKNOWN)

    def begin_write(self, keys: Iterable[str]) -> None:
        """Note that something is being written, so that what is read meanwhile is not remembered."""
        with self._lock:
            for key in keys:
                self._page(key).writes += 1

    def wrote(self, hook: str, items: Sequence[Any], receipts: Sequence[Receipt]) -> None:
        """Bring what is remembered up to date with a write; where others wrote between, forget it."""
        with self._lock:
            for item, receipt in zip(items, receipts, strict=True):
                for key in keys_of(hook, [item]):
                    self._page(key).writes += 1
                owner = _owner(item)
                page = self._page(owner)
                self._update(page, hook, item, receipt)
                page.revision = receipt.revision

    def replayed(self, items: Sequence[Any], receipts: Sequence[Receipt], waiting: Iterable[str]) -> None:
        """Forget what was answered about those whose writes were brought in; note how they stand.

        Args:
            items: what was brought in.
            receipts: what was answered.
            waiting: the keys of those of whom more waits, whose revision grows by our own writes alone.
        """
        more = set(waiting)
        with self._lock:
            for item, receipt in zip(items, receipts, strict=True):
                page = self._page(_owner(item))
                page.writes += 1
                page.answers.clear()
                page.revision = (page.revision or 0) + 1 if _owner(item) in more else receipt.revision

    def revision(self, key: str) -> int:
        """Return the last revision that is known of a user or conversation, 0 where none is."""
        with self._lock:
            page = self._pages.get(key)
            return (page.revision or 0) if page else 0

    def forget(self, keys: Iterable[str] | None = None) -> None:
        """Forget what was answered about these, or about everybody."""
        with self._lock:
            for key in list(self._pages) if keys is None else keys:
                page = self._page(key)
                page.writes += 1
                page.answers.clear()

    def erase(self, user_ids: Sequence[str]) -> None:
        """Forget these users, and take their messages out of what conversations showed."""
        with self._lock:
            for key, page in self._pages.items():
                page.writes += 1
                if key in {f"u:{user_id}" for user_id in user_ids}:
                    page.answers.clear()
                elif key.startswith("c:"):
                    for loads, one in list(page.answers):
                        self._put(page, loads, one, fold(loads, one, page.answers[loads, one], [(ERASE, user_ids)]))

    def begin_anew(self) -> None:
        """After a fork, in the child: start with nothing."""
        self._lock, self._pages = threading.Lock(), OrderedDict()

    def _update(self, page: _Page, hook: str, item: Any, receipt: Receipt) -> None:
        follows = page.revision is not None and receipt.revision == page.revision + 1
        again = page.revision is not None and receipt.revision == page.revision
        if again:
            return
        for loads, one in [answer for answer in page.answers if hook.endswith(f"_{FAMILY[answer[0]]}")]:
            sequenced = attrs.evolve(item, sequence=receipt.sequence) if hook == "save_messages" else item
            after = fold(loads, one, page.answers[loads, one], [(hook, [sequenced])]) if follows else UNKNOWN
            self._put(page, loads, one, after)

    def _put(self, page: _Page, hook: str, one: Any, answer: Any) -> None:
        if answer is UNKNOWN:
            del page.answers[hook, one]
        else:
            page.answers[hook, one] = answer

    def _page(self, key: str) -> _Page:
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = _Page()
            if len(self._pages) > self.most:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(key)
        return page


def _owner(item: Any) -> str:
    return f"c:{item.conversation_id}" if hasattr(item, "conversation_id") else f"u:{item.user_id}"
