"""Opening what comes from below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import attrs

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import Page, Thing
from whisper_persistence_encryption.keychain import Keychain
from whisper_persistence_encryption.sealing import Place, Sealer, UnreadableError
from whisper_persistence_encryption.shapes import SHAPES, unseal

K = TypeVar("K")
V = TypeVar("V")


@attrs.frozen
class Reader:
    """Opens answers with the keys of a namespace.

    What does not open is asked for and tried once more with keys fresh from the key store, since another process may
    have made or destroyed some meanwhile. What does not open then is an error, never an empty answer, unless its
    user's erasure has begun: then it is gone already.
    """

    keys: Keychain

    def mapping(self, ask: Callable[[], Mapping[K, V] | None]) -> Mapping[K, V] | None:
        """Return a mapping of records, or of tuples of records, with every record opened."""
        return cast("Mapping[K, V] | None", self._twice(ask, self._open_mapping))

    def page(self, ask: Callable[[], Page | None]) -> Page | None:
        """Return a page with every record opened."""
        return cast("Page | None", self._twice(ask, self._open_page))

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

    def _open_mapping(self, answer: Mapping[Any, Any]) -> dict[Any, Any]:
        opened = iter(self._opened([record for value in answer.values() for record in _members(value)]))
        shown = {key: _shown(value, opened) for key, value in answer.items()}
        return {key: value for key, value in shown.items() if value}

    def _opened(self, records: Sequence[Any]) -> list[Any]:
        owners = {user_id: Thing("user", user_id) for user_id in {record.user_id for record in records}}
        sealers = self.keys.reading(owners.values())
        return [self._opened_one(record, sealers.get(owners[record.user_id])) for record in records]

    def _opened_one(self, record: Any, sealer: Sealer | None) -> Any:
        try:
            if sealer is None:
                raise Place(type(record).__name__, SHAPES[type(record)][0].name).unreadable()
            return unseal(record, sealer)
        except UnreadableError:
            if record.user_id in self.keys.store.erasing(self.keys.namespace):
                return None
            raise


def _asked(ask: Callable[[], Any], show: Callable[[Any], Any]) -> Any:
    """Ask; where a net below knows some of the answer in an outage, open what its error brings."""
    try:
        return ask()
    except StorageUnavailableError as error:
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
