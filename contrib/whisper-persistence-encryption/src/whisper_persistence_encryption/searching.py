"""Search without an index: messages are opened and ranked by their words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from whisper_persistence.errors import NotSupportedError, ValidationError
from whisper_persistence.records import Message, Page, SearchHit, SearchQuery, SearchResult, Window

#: Saturation and length normalisation of BM25 (Robertson and Zaragoza, 2009).
_K1: Final = 1.2
_B: Final = 0.75
_PAGE: Final = 500
_words: Final = re.compile(r"\w+")


class Opened(Protocol):
    """What opens messages: the driver itself."""

    def load_messages(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]] | None:
        """Return opened messages."""
        ...

    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Return opened records."""
        ...


def search(opened: Opened, query: SearchQuery, limit: int) -> SearchResult:
    """Return the messages that hold any word of a query, ranked by BM25.

    Args:
        opened: what opens messages.
        query: what to look for; a word is found whole, in any case.
        limit: how many messages may be opened.

    Raises:
        NotSupportedError: there are more.
        ValidationError: the cursor is not one of ours.
    """
    words = set(_split(query.text))
    messages = list(_readable(opened, query, limit)) if words else []
    ranked = _uncleared(opened, _ranked(messages, words))
    start = _start(query.cursor)
    hits = tuple(_hit(opened, query, score, message) for score, message in ranked[start : start + query.limit])
    end = start + query.limit
    return SearchResult(hits, ("encryption",), (), str(end) if end < len(ranked) else None)


def _readable(opened: Opened, query: SearchQuery, limit: int) -> Iterator[Message]:
    talk = query.conversation_id
    found = _everywhere(opened) if talk is None else _back(opened, talk)
    for number, message in enumerate(found):
        if number >= limit:
            raise NotSupportedError(
                f"a search of sealed messages opens each of them, and there are more than {limit:,}: name a shorter "
                "conversation, or raise the search_limit of driver 'encryption'"
            )
        if _wanted(message, query):
            yield message


def _everywhere(opened: Opened) -> Iterator[Message]:
    cursor: str | None = None
    while True:
        page = opened.scan("messages", cursor, _PAGE)
        if page is None:
            return
        yield from page.records
        if (cursor := page.cursor) is None:
            return


def _back(opened: Opened, conversation_id: str) -> Iterator[Message]:
    before: int | None = None
    while True:
        window = Window(conversation_id, _PAGE, before)
        shown = (opened.load_messages([window]) or {}).get(window, ())
        yield from reversed(shown)
        if len(shown) < _PAGE:
            return
        before = shown[0].sequence


def _wanted(message: Message, query: SearchQuery) -> bool:
    return (
        query.user_id in (None, message.user_id)
        and query.author_id in (None, message.author_id)
        and (query.since is None or message.timestamp >= query.since)
        and (query.until is None or message.timestamp < query.until)
    )


def _ranked(messages: Sequence[Message], words: set[str]) -> list[tuple[float, Message]]:
    """Return the messages that hold any of the words, the best first, with scores from 0 to 1."""
    counts = [Counter(_split(message.content)) for message in messages]
    mean = sum(count.total() for count in counts) / len(counts) if counts else 0
    holders = Counter(word for count in counts for word in words & count.keys())
    rare = {word: math.log(1 + (len(counts) - n + 0.5) / (n + 0.5)) for word, n in holders.items()}

    def weigh(count: Counter[str]) -> float:
        length = _K1 * (1 - _B + _B * count.total() / mean) if mean else 1
        return sum(rare[word] * count[word] * (_K1 + 1) / (count[word] + length) for word in words & count.keys())

    scored = [(weigh(count), message) for count, message in zip(counts, messages, strict=True)]
    best = max((score for score, _ in scored), default=0.0)
    found = [(score / best, message) for score, message in scored if score > 0]
    return sorted(found, key=lambda pair: (-pair[0], -pair[1].timestamp.timestamp(), pair[1].message_id))


def _uncleared(opened: Opened, ranked: Sequence[tuple[float, Message]]) -> list[tuple[float, Message]]:
    """Leave out what lies before its conversation's clear mark, which a scan shows and a window does not."""
    windows = {talk: Window(talk, 1, after=0) for talk in {message.conversation_id for _, message in ranked}}
    shown = (opened.load_messages(list(windows.values())) or {}) if windows else {}
    first = {talk: shown[window][0].sequence or 0 for talk, window in windows.items() if window in shown}
    return [
        (score, message)
        for score, message in ranked
        if message.conversation_id in first and (message.sequence or 0) >= first[message.conversation_id]
    ]


def _hit(opened: Opened, query: SearchQuery, score: float, message: Message) -> SearchHit:
    context = _around(opened, message, query.context) if query.context else ()
    return SearchHit(message, score, {"text": score}, context)


def _around(opened: Opened, message: Message, turns: int) -> tuple[Message, ...]:
    talk, at = message.conversation_id, message.sequence
    before, after = Window(talk, turns, before=at), Window(talk, turns, after=at)
    shown = opened.load_messages([before, after]) or {}
    return (*shown.get(before, ())[-turns:], *shown.get(after, ()))


def _split(text: str) -> list[str]:
    return _words.findall(text.casefold())


def _start(cursor: str | None) -> int:
    if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
        raise ValidationError("SearchQuery.cursor", "is not one that a search gave: begin again without it")
    return int(cursor or 0)
