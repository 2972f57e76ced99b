"""Opening what comes from below."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import attrs

from whisper_persistence.errors import PartlyDamagedError, StorageUnavailableError
from whisper_persistence.records import Message, Page, Thing, Window
from whisper_persistence_encryption.keychain import Keychain
from whisper_persistence_encryption.sealing import AlteredError, Place, Sealer, UnreadableError
from whisper_persistence_encryption.shapes import SHAPES, unseal

#: So many altered records are told from each other.
_MOST: Final = 10_000

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")


@attrs.frozen
class Reader:
    """Opens answers with the keys of a namespace.

    What does not open is asked for and tried once more with keys fresh from the key store, since another process may
    have made or destroyed some meanwhile. What does not open then is an error, never an empty answer, unless its
    user's erasure has begun: then it is gone already. Only a record among others (of a window, page or scan) that was
    sealed with keys at hand, and altered since, is left out, counted and logged once.

    Attributes:
        keys: those keys.
    """

    keys: Keychain
    _altered: set[int] = attrs.field(init=False, factory=set[int])

    def altered(self) -> int:
        """Return how many altered records were left out."""
        return len(self._altered)

    def mapping(self, ask: Callable[[], Mapping[K, V] | None]) -> Mapping[K, V] | None:
        """Return a mapping of records, or of tuples of records, with every record opened."""
        return cast("Mapping[K, V] | None", self._twice(ask, self._open_mapping))

    def pages(self, ask: Callable[[Sequence[K]], Mapping[K, V] | None], asked: Sequence[K]) -> Mapping[K, V] | None:
        """Return pages of records by what was asked for, with every record opened, or left out where it was altered."""
        try:
            return self.mapping(lambda: ask(asked))
        except AlteredError:
            pages = {one: self._without_altered(ask, one) for one in asked}
        return cast("Mapping[K, V]", {one: page for one, page in pages.items() if page})

    def _without_altered(self, ask: Callable[[Sequence[Any]], Any], one: Any) -> tuple[Any, ...]:
        """Return a page that is as full as it would be had nothing been altered: a short one is taken for the last.

        Raises:
            StorageUnavailableError: it cannot be asked for; what a net below knows of it is not told apart any more.
        """
        wanted: int = one.limit
        while True:
            try:
                answer: Mapping[Any, tuple[Any, ...]] = ask([one]) or {}
            except StorageUnavailableError as error:
                raise StorageUnavailableError(str(error)) from None
            found = answer.get(one, ())
            opened = [record for record in self._opened(found, leave_out=True) if record is not None]
            if len(opened) >= wanted or len(found) < one.limit:
                break
            one = attrs.evolve(one, limit=2 * one.limit)
        newest = isinstance(one, Window) and one.after is None
        return tuple(opened[-wanted:] if newest else opened[:wanted])

    def page(self, ask: Callable[[], Page | None]) -> Page | None:
        """Return a page with every record opened."""
        try:
            return cast("Page | None", self._twice(ask, self._open_page))
        except AlteredError:
            page = ask()
        return None if page is None else self._page_without_altered(page)

    def _twice(self, ask: Callable[[], Any], show: Callable[[Any], Any]) -> Any:
        answer = _asked(ask, show)
        if answer is None:
            return None
        try:
            return show(answer)
        except UnreadableError:
            self.keys.forget()
        return show(_asked(ask, show))

    def _open_page(self, page: Page) -> Page:
        return attrs.evolve(page, records=tuple(one for one in self._opened(page.records) if one is not None))

    def _page_without_altered(self, page: Page) -> Page:
        opened = self._opened(page.records, leave_out=True)
        gone = [one for one, shown in zip(page.records, opened, strict=True) if shown is None]
        damaged = tuple(_name(one) for one in gone if _known(one) in self._altered)
        kept = tuple(one for one in opened if one is not None)
        return attrs.evolve(page, records=kept, damaged=(*page.damaged, *damaged))

    def _open_mapping(self, answer: Mapping[Any, Any]) -> dict[Any, Any]:
        opened = iter(self._opened([record for value in answer.values() for record in _members(value)]))
        shown = {key: _shown(value, opened) for key, value in answer.items()}
        return {key: value for key, value in shown.items() if value}

    def _opened(self, records: Sequence[Any], *, leave_out: bool = False) -> list[Any]:
        owners = {user_id: Thing("user", user_id) for user_id in {record.user_id for record in records}}
        sealers = self.keys.reading(owners.values())
        return [self._opened_one(one, sealers.get(owners[one.user_id]), leave_out=leave_out) for one in records]

    def _opened_one(self, record: Any, sealer: Sealer | None, *, leave_out: bool) -> Any:
        try:
            if sealer is None:
                raise Place(type(record).__name__, SHAPES[type(record)][0].name).unreadable()
            return unseal(record, sealer)
        except UnreadableError as error:
            if record.user_id in self.keys.store.erasing(self.keys.namespace):
                return None
            if not (leave_out and isinstance(error, AlteredError)):
                raise
            self._note(record)
            return None

    def _note(self, record: Any) -> None:
        if _known(record) not in self._altered and len(self._altered) < _MOST:
            self._altered.add(_known(record))
            _log.error("a sealed record was altered and is left out", extra={"kind": type(record).__name__})


def _known(record: Any) -> int:
    return hash((record.__class__.__name__, _name(record)))


def _name(record: Any) -> str:
    """Return the key of a record, in words, as databases name what they cannot read."""
    if isinstance(record, Message):
        return f"{record.conversation_id} {record.sequence}"
    ids = (getattr(record, name, None) for name in ("user_id", "outcome_id", "memory_id", "pattern_id"))
    return " ".join(one for one in ids if one)


def _asked(ask: Callable[[], Any], show: Callable[[Any], Any]) -> Any:
    """Ask; where a driver below knows only some of the answer, open what its error brings."""
    try:
        return ask()
    except (PartlyDamagedError, StorageUnavailableError) as error:
        partly = cast("Any", error)
        if getattr(partly, "found", None):
            partly.found = show(partly.found)
        raise


def under_their_names(ask: Callable[[], Any], names: Sequence[tuple[Any, Any]]) -> Callable[[], Any]:
    """Return a question whose answer stands under other keys, also in the error of a net that knows some of it.

    Args:
        ask: the question.
        names: the key that each answer is to stand under, and the one it was asked for by.
    """

    def renamed() -> Any:
        try:
            answer = ask()
        except StorageUnavailableError as error:
            partly = cast("Any", error)
            if hasattr(partly, "found"):
                partly.found = {name: partly.found[asked] for name, asked in names if asked in partly.found}
                partly.unknown = frozenset(name for name, asked in names if asked in partly.unknown)
            raise
        return None if answer is None else {name: answer[asked] for name, asked in names if asked in answer}

    return renamed


def _members(value: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)


def _shown(value: Any, opened: Iterator[Any]) -> Any:
    """Return one record, or those of a tuple that are not gone, from the opened ones in their order."""
    records = [next(opened) for _ in _members(value)]
    return tuple(one for one in records if one is not None) if isinstance(value, tuple) else records[0]
