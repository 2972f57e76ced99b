"""Three real conversations, months long: appended turn by turn by a process that is killed, read by another."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from whisper_persistence.operations import import_file
from whisper_persistence.records import Message, Window
from whisper_persistence.settings import load_settings
from whisper_persistence.store import Store

SOURCE = Path(__file__).parents[2] / "shared" / "data" / "locomo-dev.json"

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason=f"the LoCoMo conversations are not at {SOURCE}")

#: Appends every line of a file by itself, and is killed right after the last append was acknowledged.
WRITER = """
import os, signal, sys
from pathlib import Path
from whisper_persistence import Store
from whisper_persistence.operations.transfer import read_batches

store = Store.from_settings(url=sys.argv[1])
for batch in read_batches(Path(sys.argv[2])):
    for message in batch.records:
        (receipt,) = store.save_messages([message])
        os.write(1, f"{message.message_id} {receipt.durability.value}\\n".encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def conversations() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(SOURCE.read_text(encoding="utf-8"))
    return found


def turns(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    return [turn for session in conversation["sessions"] for turn in session["turns"]]


def lines(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for session in conversation["sessions"]:
        moment = datetime.strptime(session["started"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
        for number, turn in enumerate(session["turns"]):
            row = {
                "conversation_id": conversation["conversation"],
                "user_id": conversation["speakers"][0],
                "author_id": turn["speaker"],
                "content": turn["text"],
                "message_id": turn["id"],
                "timestamp": moment + timedelta(seconds=number),
            }
            rows.append({**row, "image": turn["image"]} if "image" in turn else row)
    return rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the three conversations as JSON Lines, their turns taking turns, as on a busy server."""
    talks = [lines(conversation) for conversation in conversations()]
    longest = max(map(len, talks))
    mixed = [talk[number] for number in range(longest) for talk in talks if number < len(talk)]
    path = tmp_path / "locomo.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, mixed)))
    return path


def seen(messages: tuple[Message, ...]) -> list[tuple[str, str, str, Any]]:
    return [(m.message_id, m.author_id, m.content, m.extra.get("image")) for m in messages]


def said(conversation: dict[str, Any]) -> list[tuple[str, str, str, Any]]:
    return [(turn["id"], turn["speaker"], turn["text"], turn.get("image")) for turn in turns(conversation)]


def check_store(url: str) -> int:
    """Compare a store with the source, and return how many turns were equal."""
    total = 0
    with Store.from_settings(load_settings(url=url)) as store:
        for conversation in conversations():
            whole, last = (Window(conversation["conversation"], limit) for limit in (10_000, 20))
            found = store.load_messages([whole, last])
            expected = said(conversation)

            assert seen(found[whole]) == expected
            assert seen(found[last]) == expected[-20:]
            total += len(expected)
    return total


def test_every_turn_survives_the_death_of_its_process(tmp_path: Path, file: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    command = [sys.executable, "-c", WRITER, url, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    acknowledged = ran.stdout.splitlines()

    assert (ran.returncode, ran.stderr) == (-signal.SIGKILL, "")
    assert {line.partition(" ")[2] for line in acknowledged} == {"durable"}
    assert check_store(url) == len(acknowledged) == 1_451


def test_an_import_twice_keeps_every_turn_once(tmp_path: Path, file: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    for _ in range(2):
        with Store.from_settings(url=url) as store:
            assert import_file(store, file) == {"messages": 1_451}

    assert check_store(url) == 1_451
