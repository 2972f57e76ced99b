"""What the text index keeps of a message: keyed hashes of its words, and where the message is.

No word ever stands in the index: a hash can be compared with another one and not be read. So what is deleted leaves
nothing readable in the parts of an index that a database rewrites later, and nothing of what a user types can be taken
for query syntax. The namespace is part of what is hashed, so that no word of one bot meets that of another.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

from whisper_persistence.records import Message
from whisper_persistence.words import content_words, stem
from whisper_persistence_drivers.sql.session import Session, to_micros

#: The name under which the text index follows the messages.
FOLLOWER: Final = "text-index"
#: So many words of a message are searched, the first ones.
_MOST_WORDS: Final = 20_000
#: So many words of a name are compared.
_MOST_NAMES: Final = 8
#: Stands for the words of a message that has none; no hash looks like it.
_NOTHING: Final = "0"


#: Conversation id and sequence.
Key: TypeAlias = tuple[str, int]


class TermRow(NamedTuple):
    """One message in the text index.

    Attributes:
        conversation_id, sequence: which message.
        user_id, author_id: whom it concerns and who wrote it.
        written_at: when, in microseconds since 1970.
        place: where it is in its user's part of the conversation, by `whisper_persistence.neighbours.next_place`.
        terms: its words' hashes.
        names: its author's name, as hashes.
    """

    conversation_id: str
    sequence: int
    user_id: str
    author_id: str
    written_at: int
    place: int
    terms: str
    names: str

    def key(self) -> Key:
        """Return which message it is."""
        return self.conversation_id, self.sequence

    def words(self) -> Sequence[str]:
        """Return the hashes of its words."""
        return () if self.terms == _NOTHING else self.terms.split(" ")


def token(session: Session, word: str) -> str:
    """Return the hash that stands for a stem."""
    return _hash(session.hash_key, session.namespace, word)


def user_mark(session: Session, user_id: str) -> str:
    """Return the hash that stands for "concerns this user"."""
    return _hash(session.hash_key, session.namespace, f"\0u{user_id}")


def conversation_mark(session: Session, conversation_id: str) -> str:
    """Return the hash that stands for "is of this conversation"."""
    return _hash(session.hash_key, session.namespace, f"\0c{conversation_id}")


def marks(session: Session, row: TermRow) -> str:
    """Return the hashes by which a message is found without its words."""
    return f"{user_mark(session, row.user_id)} {conversation_mark(session, row.conversation_id)}"


def term_row(session: Session, message: Message, sequence: int, place: int = 0) -> TermRow:
    """Return what the text index keeps of a message."""
    return TermRow(
        message.conversation_id,
        sequence,
        message.user_id,
        message.author_id,
        to_micros(message.timestamp),
        place,
        " ".join(_tokens(session, content_words(message.content)[:_MOST_WORDS])) or _NOTHING,
        " ".join(_tokens(session, content_words(message.author_name or message.author_id)[:_MOST_NAMES])),
    )


def _tokens(session: Session, words: Iterable[str]) -> Iterable[str]:
    return (token(session, stem(word)) for word in words)


@lru_cache(maxsize=65_536)
def _hash(hash_key: bytes, namespace: str, word: str) -> str:
    named = f"word\0{namespace}\0{word}".encode()
    return b32encode(blake2b(named, key=hash_key, digest_size=5).digest()).decode().lower()
