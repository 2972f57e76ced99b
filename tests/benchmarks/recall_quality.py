"""How well a user's whole conversation is searched: share of questions with an evidence turn among the first found.

Run ``python tests/benchmarks/recall_quality.py`` (options: ``--data FILE``, ``--postgres URL``): it stores each
conversation with ``chroma-recall`` above a driver that indexes words, asks every question through the store, and prints
what is found by words alone, by meaning alone and by both. It is offline: the meaning is that of the model inside
wordllama's wheel. A way alone is what ``weights = { meaning = 0 }`` or ``weights = { text = 0 }`` leave of a score.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from whisper_persistence import Message, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.fusing import Weights, fuse
from whisper_persistence.plugins import Chain
from whisper_persistence.records import SearchQuery

SOURCE: Final = Path(__file__).parents[3] / "shared" / "data" / "locomo-dev.json"
AT: Final = (5, 10, 20)
WAYS: Final = {"words": ["text"], "meaning": ["meaning"], "both": ["text", "meaning"]}

Found = dict[str, list[str]]
Counts = Counter[tuple[str, int]]


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


def search(store: Store, talk: Talk, question: str) -> Found:
    """Return the message ids that each way finds, the best first."""
    now = max(message.timestamp for message in talk.messages)
    query = SearchQuery(question, user_id=talk.name, limit=len(talk.messages))
    hits = store.search_messages([query])[query].hits
    ranked = {way: fuse(hits, answered, Weights(), now) for way, answered in WAYS.items()}
    return {way: [hit.message.message_id for hit in found] for way, found in ranked.items()}


def measure(store: Store, talk: Talk) -> Counts:
    """Store a conversation and return how many of its questions have an evidence turn among the first 5, 10, 20."""
    for start in range(0, len(talk.messages), 500):
        store.save_messages(talk.messages[start : start + 500])
    while any(tier.details.get(name) for tier in store.check_health() for name in ("pending", "search_lag")):
        time.sleep(0.1)
    counted: Counts = Counter()
    for question, evidence in talk.questions:
        for way, found in search(store, talk, question).items():
            counted.update((way, first) for first in AT if not evidence.isdisjoint(found[:first]))
    return counted


def share(counted: Counts, talks: Sequence[Talk], way: str, first: int) -> float:
    """Return the share of the questions of some conversations that were answered among the first so many."""
    return counted[way, first] / sum(len(talk.questions) for talk in talks)


@contextmanager
def opened(postgres: str | None) -> Iterator[Store]:
    """Open an empty store that searches by words and meaning."""
    with tempfile.TemporaryDirectory() as folder:
        name, place = ("postgres", {"url": postgres}) if postgres else ("sqlite", {"path": f"{folder}/memory.db"})
        namespace = f"recall-quality-{time.time_ns()}"
        recall = DriverSpec("chroma-recall", {"path": f"{folder}/recall"})
        with Store(Chain.build([recall, DriverSpec(name, {**place, "search": True})]), namespace) as store:
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
        counted = {talk.name: measure(store, talk) for talk in talks}
    rows = [(talk.name, [talk], counted[talk.name]) for talk in talks]
    for name, asked, counts in [*rows, ("all", talks, sum(counted.values(), Counts()))]:
        for way in WAYS:
            table.add_row(f"{way}, {name}", *(f"{share(counts, asked, way, first):.3f}" for first in AT))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
