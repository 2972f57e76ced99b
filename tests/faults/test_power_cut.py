"""The row of the failure matrix about a power cut: what the journal acknowledged is on the disk, whole."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_tools.power import Recorder, cut
from whisper_persistence_drivers.net import journal
from whisper_persistence_drivers.net.entries import Entry, body_of
from whisper_persistence_drivers.net.journal import Journal

from whisper_persistence.testing import samples

#: So many lives of a journal are recorded, and each is cut short at so many moments.
LIVES, CUTS = (20, 50) if os.environ.get("TEST_TIER") == "full" else (1, 25)
STEPS = 60
#: What a journal holds: the body of each entry, by its place.
State = dict[int, str]


class Life:
    """A journal that is written to as the dice say; what it was acknowledged to hold is noted before and after."""

    def __init__(self, folder: Path, dice: random.Random, recorder: Recorder) -> None:
        self.dice, self.recorder = dice, recorder
        self.held: State = {}
        self.next = 1
        with recorder.recording():
            self.journal = Journal.open(folder / "1.journal")

    def step(self) -> None:
        acts: list[Callable[[], State]] = [self.append] * 6 + [self.remove] * 2 + [self.replace, self.scrub]
        self.recorder.mark((self.held, None))
        self.held = self.dice.choice(acts)()

    def append(self) -> State:
        entries = [self.entry() for _ in range(self.dice.choice((1, 1, 1, 20)))]
        after = {**self.held, **{entry.place: entry.body for entry in entries}}
        self.doing(after)
        self.journal.append(entries)
        return after

    def remove(self) -> State:
        gone = sorted(self.held)[: self.dice.randrange(1, 10)]
        after = {place: body for place, body in self.held.items() if place not in gone}
        self.doing(after)
        self.journal.remove(gone, [(place, {"alice": self.next}) for place in after])
        return after

    def replace(self) -> State:
        if not self.held:
            return self.held
        (place,) = self.dice.sample(sorted(self.held), 1)
        entry = self.entry(place)
        after = {**self.held, place: entry.body}
        self.doing(after)
        self.journal.replace(entry)
        return after

    def scrub(self) -> State:
        self.journal.scrub()
        return self.held

    def doing(self, after: State) -> None:
        """Note that from now on the disk may hold what is being done."""
        self.recorder.mark((self.held, after))

    def entry(self, place: int = 0) -> Entry:
        if not place:
            place, self.next = self.next, self.next + 1
        words = f"{self.dice.random()} " * self.dice.choice((1, 10, 500))
        body = body_of("save_messages", [samples.message(content=words)])
        return Entry(place, f"{place} {self.dice.random()}", "writer", place, "save_messages", body, 1, 0, {}, False)


def live(folder: Path, dice: random.Random) -> Recorder:
    recorder = Recorder()
    life = Life(folder, dice, recorder)
    for _ in range(STEPS):
        life.step()
    recorder.mark((life.held, None))
    life.journal.close()
    return recorder


def found_after(folder: Path) -> tuple[State, int]:
    """Return what a journal holds when it is opened again, and how much of it is damaged."""
    journal = Journal.open(folder / "1.journal")
    try:
        return {entry.place: entry.body for entry in journal.walk()}, journal.dead()
    finally:
        journal.close()


@pytest.mark.parametrize("seed", range(LIVES))
def test_power_cut(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    (tmp_path / "life").mkdir()
    events = live(tmp_path / "life", dice).events
    first = next(place for place, event in enumerate(events) if event.kind == "mark")

    for number in range(CUTS):
        end = dice.randrange(first, len(events))
        folder = tmp_path / f"cut {number}"
        folder.mkdir()
        cut(events[: end + 1], folder, dice, torn=number % 2 == 1)
        before, doing = next(event.note for event in reversed(events[: end + 1]) if event.kind == "mark")
        found, damaged = found_after(folder)
        assert found in (before, doing if doing is not None else before)
        assert damaged == 0


def test_a_journal_that_did_not_sync_would_lose_what_it_acknowledged(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "_PRAGMAS", ("journal_mode = WAL", "synchronous = NORMAL"))
        life = Life(tmp_path, random.Random(1), recorder)
    for _ in range(5):
        life.held = life.append()
    life.journal.close()
    (tmp_path / "cut").mkdir()
    last = max(place for place, event in enumerate(recorder.events) if event.kind == "mark")
    cut(recorder.events[: last + 1], tmp_path / "cut", random.Random(1), torn=False)

    assert found_after(tmp_path / "cut") == ({}, 0)
