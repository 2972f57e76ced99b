"""What databases do differently when they search text, behind one face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import attrs

from whisper_persistence.records import SearchQuery
from whisper_persistence_drivers.sql.database import Database
from whisper_persistence_drivers.sql.session import Session, to_micros
from whisper_persistence_drivers.sql.terms import TermRow
from whisper_persistence_drivers.sql.transaction import Transaction


@attrs.frozen
class Scope:
    """Which messages are looked through.

    Attributes:
        user_id: whom they concern, or ``None`` for anybody.
        conversation_id: whose they are, or ``None`` for any.
        author_id: who wrote them, or ``None`` for anybody.
        since, until: when, in microseconds since 1970, the first included, the last not; ``None`` for any time.
    """

    user_id: str | None = None
    conversation_id: str | None = None
    author_id: str | None = None
    since: int | None = None
    until: int | None = None

    @classmethod
    def of(cls, query: SearchQuery) -> Scope:
        """Return the scope of a query, with its author and time, which its hits must have and their neighbours not."""
        since, until = (None if moment is None else to_micros(moment) for moment in (query.since, query.until))
        return cls(query.user_id, query.conversation_id, query.author_id, since, until)

    def wide(self) -> Scope:
        """Return the scope without author and time: that of a hit's neighbours."""
        return Scope(self.user_id, self.conversation_id)

    def named(self) -> dict[str, object]:
        """Return the conditions that there are, by name."""
        return attrs.asdict(self, filter=lambda _, value: value is not None)

    def shows(self, row: TermRow) -> bool:
        """Say whether a message may be a hit."""
        return (
            self.user_id in (None, row.user_id)
            and self.conversation_id in (None, row.conversation_id)
            and self.author_id in (None, row.author_id)
            and (self.since is None or row.written_at >= self.since)
            and (self.until is None or row.written_at < self.until)
        )


class TextIndex(ABC):
    """How one kind of database finds messages by the hashes of their words."""

    @abstractmethod
    def prepare(self, database: Database) -> None:
        """Make what is missing in the database.

        Raises:
            ConfigurationError: this database cannot search text.
        """

    @abstractmethod
    def claim(self, transaction: Transaction) -> bool:
        """Make sure that nobody else writes into the index until the transaction ends, or say that somebody does."""

    @abstractmethod
    def add(self, transaction: Transaction, rows: Sequence[TermRow]) -> None:
        """Add messages that are not in the index."""

    @abstractmethod
    def match(self, session: Session, tokens: Sequence[str], scope: Scope, limit: int) -> list[TermRow]:
        """Return the messages of a scope that have any of some words, the newest first."""

    @abstractmethod
    def count(self, session: Session, token: str, scope: Scope, limit: int) -> int:
        """Return how many messages of a scope have a word, counting no further than a limit."""
