"""Opening what comes from below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import attrs

from whisper_persistence.records import Message, Page, Thing
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

    def mapping(self, ask: Callable[[], Mapping[K, V] | None]) -> Mapping[K, V]:
        """Return a mapping of records, or of tuples of records, with every record opened."""
        return self._twice(ask, self._open_mapping)

    def page(self, ask: Callable[[], Page | None]) -> Page | None:
        """Return a page with every record opened."""
        return self._twice(ask, lambda page: attrs.evolve(page, records=tuple(self._open(page.records))))

    def _twice(self, ask: Callable[[], Any], show: Callable[[Any], Any]) -> Any:
        answer = ask()
        if answer is None:
            return None
        try:
            return show(answer)
        except UnreadableError:
            self.keys.forget()
        return show(ask())

    def _open_mapping(self, answer: Mapping[Any, Any]) -> dict[Any, Any]:
        many = [value for value in answer.values() if isinstance(value, tuple)]
        listed = [record for value in many for record in cast("tuple[Any, ...]", value)]
        if not many:
            opened = zip(answer, self._opened(list(answer.values())), strict=True)
            return {key: record for key, record in opened if record is not None}
        records = iter(self._opened(listed))
        pages = {key: tuple(it for _ in value if (it := next(records)) is not None) for key, value in answer.items()}
        return {key: page for key, page in pages.items() if page}

    def _open(self, records: Sequence[Any]) -> list[Any]:
        return [record for record in self._opened(records) if record is not None]

    def _opened(self, records: Sequence[Any]) -> list[Any]:
        sealers = self.keys.reading(Thing("user", record.user_id) for record in records)
        return [self._opened_one(record, sealers.get(Thing("user", record.user_id))) for record in records]

    def _opened_one(self, record: Any, sealer: Sealer | None) -> Any:
        try:
            if sealer is None:
                raise Place(type(record).__name__, SHAPES[type(record)][0].name).unreadable()
            if isinstance(record, Message):
                sealer = attrs.evolve(sealer, other=partial(self._conversation, record.conversation_id))
            return unseal(record, sealer)
        except UnreadableError:
            if record.user_id in self.keys.store.erasing(self.keys.namespace):
                return None
            raise

    def _conversation(self, conversation_id: str) -> Sealer | None:
        owner = Thing("conversation", conversation_id)
        return self.keys.reading([owner]).get(owner)
