"""How well a user's whole conversation is searched: share of questions with an evidence turn among the first found.

Run ``python tests/benchmarks/recall_quality.py`` (options: ``--data FILE``, ``--postgres URL``): it stores each
conversation with a search-enabled driver, asks every question through the store, and prints by words alone, by meaning
alone and fused. It is offline: the meaning is that of the model inside wordllama's wheel.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from whisper_persistence_drivers.meaning import Floats, meaning, neighbourhoods, query_vector

from whisper_persistence import Message, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.fusing import CANDIDATES, Weights, fuse
from whisper_persistence.neighbours import next_place
from whisper_persistence.plugins import Chain
from whisper_persistence.records import SearchHit, SearchQuery
from whisper_persistence.words import content_words

SOURCE: Final = Path(__file__).parents[3] / "shared" / "data" / "locomo-dev.json"
AT: Final = (5, 10, 20)
WAYS: Final = ("text", "meaning", "fused")

Embed = Callable[[Sequence[str]], Floats]
Found = dict[str, list[str]]


@attrs.frozen(eq=False)
class Talk:
    """One conversation with its questions and what answers them.

    Attributes:
        name: of the conversation, and of the user it concerns.
        messages: its turns.
        questions: each with the ids of the turns that answer it.
    """

    name: str
    messages: tuple[Message, ...]
    questions: tuple[tuple[str, frozenset[str]], ...]


def read_talks(source: Path) -> list[Talk]:
    """Return the conversations of a file of the LoCoMo format."""
    return [_talk(given) for given in json.loads(source.read_text(encoding="utf-8"))]


def _talk(given: Mapping[str, Any]) -> Talk:
    questions = tuple((each["question"], frozenset(each["evidence"])) for each in given["questions"])
    return Talk(given["conversation"], tuple(_messages(given)), questions)


def _messages(given: Mapping[str, Any]) -> Iterator[Message]:
    name = given["conversation"]
    for session in given["sessions"]:
        moment = datetime.strptime(session["started"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
        for number, turn in enumerate(session["turns"]):
            when = moment + timedelta(seconds=20 * number)
            yield Message(name, name, turn["speaker"], turn["text"], message_id=turn["id"], timestamp=when)


@cache
def static_embedder() -> Embed:
    """Return wordllama's embedder, loaded from its own wheel."""
    import wordllama

    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return lambda texts: np.asarray(model.embed(list(texts)), dtype=np.float32)


@attrs.define(eq=False)
class Meaning:
    """The meaning of one conversation's messages among their neighbours, by an exact scan."""

    embed: Embed
    vectors: Floats

    @classmethod
    def of(cls, messages: Sequence[Message], embed: Embed) -> Meaning:
        """Return the meaning of these messages."""
        places = [0]
        for before, message in pairwise(messages):
            places.append(next_place(places[-1], before.timestamp, message.timestamp))
        texts = [" ".join(content_words(message.content)) or message.content for message in messages]
        return cls(embed, neighbourhoods(embed(texts), places))

    def fits(self, text: str, rarity: Mapping[str, float]) -> Floats:
        """Return how well each message fits a text."""
        words = list(dict.fromkeys(content_words(text)))
        if not words:
            return np.zeros(len(self.vectors), dtype=np.float32)
        return meaning(query_vector(words, self.embed(words), rarity), self.vectors)


def search(store: Store, talk: Talk, question: str, scan: Meaning, weights: Weights | None = None) -> Found:
    """Return the message ids that each way finds, the best first."""
    now = max(message.timestamp for message in talk.messages)
    query = SearchQuery(question, user_id=talk.name, limit=CANDIDATES)
    below = store.search_messages([query])[query]
    fits = scan.fits(question, below.rarity)
    parts = {hit.message.message_id: dict(hit.parts) for hit in below.hits}
    hits = []
    for position in np.argsort(-fits, kind="stable")[:CANDIDATES]:
        parts.setdefault(talk.messages[position].message_id, {})
    for message, fit in zip(talk.messages, fits, strict=True):
        if message.message_id in parts:
            hits.append(SearchHit(message, 0.0, {**parts[message.message_id], "meaning": float(fit)}))
    ranked = {
        "text": fuse(hits, ["text"], weights or Weights(), now),
        "meaning": fuse(hits, ["meaning"], weights or Weights(), now),
        "fused": fuse(hits, ["text", "meaning"], weights or Weights(), now),
    }
    return {way: [hit.message.message_id for hit in found] for way, found in ranked.items()}


def measure(store: Store, talks: Sequence[Talk], embed: Embed) -> dict[str, dict[int, float]]:
    """Return for each way the share of questions with an evidence turn among the first 5, 10 and 20."""
    counted = {way: dict.fromkeys(AT, 0) for way in WAYS}
    asked = 0
    for talk in talks:
        for start in range(0, len(talk.messages), 500):
            store.save_messages(talk.messages[start : start + 500])
        scan = Meaning.of(talk.messages, embed)
        for question, evidence in talk.questions:
            asked += 1
            for way, found in search(store, talk, question, scan).items():
                for first in AT:
                    counted[way][first] += not evidence.isdisjoint(found[:first])
    return {way: {first: count / asked for first, count in shares.items()} for way, shares in counted.items()}


@contextmanager
def opened(postgres: str | None) -> Iterator[Store]:
    """Open an empty store that searches."""
    with tempfile.TemporaryDirectory() as folder:
        name, place = ("postgres", {"url": postgres}) if postgres else ("sqlite", {"path": f"{folder}/memory.db"})
        namespace = f"recall-quality-{time.time_ns()}"
        with Store(Chain.build([DriverSpec(name, {**place, "search": True})]), namespace) as store:
            yield store


def main() -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description="how well a user's whole conversation is searched")
    parser.add_argument("--data", type=Path, default=SOURCE)
    parser.add_argument("--postgres", help="a database to store in, instead of SQLite")
    options = parser.parse_args()
    talks = read_talks(options.data)
    table = Table("searched by", *(f"among the first {first}" for first in AT))
    with opened(options.postgres) as store:
        for talk in [*([[each] for each in talks] if len(talks) > 1 else []), talks]:
            for way, shares in measure(store, talk, static_embedder()).items():
                name = f"{way}, {talk[0].name}" if len(talk) == 1 else f"{way}, all"
                table.add_row(name, *(f"{shares[first]:.3f}" for first in AT))
    Console().print(table)


if __name__ == "__main__":
    main()
