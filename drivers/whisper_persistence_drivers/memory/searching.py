"""Searching by words: every message in the scope of a query is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from whisper_persistence.codec import decoder
from whisper_persistence.fusing import memory_of
from whisper_persistence.records import Message, SearchQuery, SearchResult
from whisper_persistence.unindexed_search import Candidate, search_unindexed
from whisper_persistence_drivers.memory.state import State
from whisper_persistence_drivers.memory.talk import load_messages

_read = decoder(Message)


def search_messages(state: State, queries: Sequence[SearchQuery]) -> Mapping[SearchQuery, SearchResult]:
    """Return what each query finds."""

    def importance(messages: Sequence[Message]) -> list[float | None]:
        return [_importance(state, message) for message in messages]

    return {
        query: search_unindexed(query, _scope(state, query), importance, lambda windows: load_messages(state, windows))
        for query in queries
    }


def _scope(state: State, query: SearchQuery) -> Iterator[Candidate]:
    """Yield the messages of the query's user and conversation that have words, cleared ones too."""
    named = [query.conversation_id] if query.conversation_id is not None else list(state.conversations)
    for conversation_id in named:
        conversation = state.peek_conversation(conversation_id)
        for sequence, row in conversation.messages.oldest(0):
            if query.user_id in (None, row.user_id):
                message = _read(row.text)
                if not message.is_redacted():
                    yield Candidate(message, sequence <= conversation.cleared)


def _importance(state: State, message: Message) -> float | None:
    scored = state.peek_user(message.user_id).scores.get(memory_of(message))
    return None if scored is None else scored.score
