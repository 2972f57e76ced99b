"""Records that a user has one of, or one of each id: strategies, statistics, patterns and preferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import Pattern, Preferences, Receipt, Statistics, Strategy
from whisper_persistence.records.following import FollowedKind
from whisper_persistence_drivers.memory.state import State, User

R = TypeVar("R", bound=Strategy | Statistics | Preferences | Pattern)


class Change(Protocol[R]):
    """A change that one record is folded with."""

    @property
    def user_id(self) -> str:
        """Whom it is about."""
        ...

    @property
    def change_id(self) -> str:
        """Its own id."""
        ...

    def apply_to(self, record: R | None) -> R:
        """Return the record as it is after this change."""
        ...


@attrs.frozen
class Table(Generic[R]):
    """The records of one kind.

    Attributes:
        kind: the kind's name.
        read: from text to a record of this kind.
    """

    kind: FollowedKind
    read: Callable[[str], R]

    def save(self, state: State, records: Sequence[R]) -> list[Receipt]:
        """Put whole records, in order."""
        texts = [encode(record) for record in records]
        return [self._put(state, record, text) for record, text in zip(records, texts, strict=True)]

    def put(self, state: State, record: R) -> Receipt:
        """Put one record and raise its user's revision."""
        return self._put(state, record, encode(record))

    def get(self, user: User, item: str = "") -> R | None:
        """Return a copy of one record."""
        text = user.tables.get(self.kind, {}).get(item)
        return None if text is None else self.read(text)

    def load(self, state: State, user_ids: Sequence[str]) -> dict[str, R]:
        """Return the records of kinds that a user has one of, by user id."""
        found = {user_id: self.get(state.peek_user(user_id)) for user_id in user_ids}
        return {user_id: record for user_id, record in found.items() if record is not None}

    def update(self, state: State, changes: Sequence[Change[R]]) -> list[Receipt]:
        """Fold changes into their records, in order."""
        return [self._fold(state, change) for change in changes]

    def _fold(self, state: State, change: Change[R]) -> Receipt:
        user = state.peek_user(change.user_id)
        if change.change_id in state.applied:
            return user.receipt()
        receipt = self.put(state, change.apply_to(self.get(user, _item(change))))
        state.applied.add(change.change_id)
        return receipt

    def _put(self, state: State, record: R, text: str) -> Receipt:
        user = state.users[record.user_id]
        user.tables.setdefault(self.kind, {})[_item(record)] = text
        user.revision += 1
        state.notify(self.kind, record.user_id, _item(record), user.revision)
        return user.receipt()


def _item(record: object) -> str:
    item: str = getattr(record, "pattern_id", "")
    return item


STRATEGIES: Final = Table[Strategy]("strategies", decoder(Strategy))
STATISTICS: Final = Table[Statistics]("statistics", decoder(Statistics))
PREFERENCES: Final = Table[Preferences]("preferences", decoder(Preferences))
PATTERNS: Final = Table[Pattern]("patterns", decoder(Pattern))


def load_patterns(state: State, user_ids: Sequence[str]) -> Mapping[str, tuple[Pattern, ...]]:
    """Return the patterns of these users, in the order of their ids."""
    stored = {user_id: state.peek_user(user_id).tables.get("patterns", {}) for user_id in user_ids}
    return {
        user_id: tuple(PATTERNS.read(texts[item]) for item in sorted(texts))
        for user_id, texts in stored.items()
        if texts
    }
