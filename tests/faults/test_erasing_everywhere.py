"""The whole chain at once: markers go in by every write, with and without an outage, and none is left in any file."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import msgspec
import numpy as np
import pytest
from fault_tools.documented_postgres import run_documented
from fault_tools.everything import RECALL, Everything, over_postgres, over_sqlite
from fault_tools.stores import drained, waits
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver

from whisper_persistence import Store
from whisper_persistence.operations import erase_users
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, StrategyChange, VectorQuery, Window
from whisper_persistence.testing import samples
from whisper_persistence.testing.markers import MARK, SHARED, USER, contents, find_markers, mark, plant

LATE = f"{MARK}-late"
ALL = frozenset({"strategies", "statistics", "conversations"})


def others(store: Store) -> dict[str, list[bytes]]:
    """Return all that a store shows of those who are not erased."""
    return {kind: [row for row in rows if MARK.encode() not in row] for kind, rows in contents(store).items()}


def written_during_an_outage(whole: Everything) -> None:
    """Write while the database is away, so that the journal and the memory of the net have it."""
    whole.plug.down = True
    said = [Message(mark("talk"), LATE, LATE, mark("late", 9), message_id=mark(f"late{n}")) for n in range(20)]
    whole.store.save_messages(said)
    whole.store.save_messages([Message(SHARED, LATE, LATE, mark("late"), message_id=mark("shared"))])
    whole.store.update_strategies([StrategyChange(LATE, effective_approaches=[mark("helps")])])
    assert waits(whole.store) > 0


def copied_by_an_upgrade(whole: Everything) -> list[Path]:
    """Have the database make the copy that an upgrade of its schema makes, where it makes any."""
    database: Any = list(whole.store.chain.drivers.values())[-1]
    database._database.before_migration("0003")
    return list(whole.folders.get("sqlite", Path("nowhere")).glob("*.before-*"))


def vectors(whole: Everything) -> list[bytes]:
    """Return a piece of the vector of each of some of the user's messages, as it lies in files."""
    database: Any = whole.store.chain.drivers[next(iter(whole.folders))]
    (embedding,) = whole.store.embed(["whose model?"])
    query = VectorQuery(embedding.model, USER, 20)
    return [vector.embedding.values[:64] for vector in database.load_vectors([query])[query].records]


def found(folder: Path, pieces: list[bytes]) -> int:
    """Return how many of these pieces stand in any file of a folder, as they are or with their last bits rounded."""
    content = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    floats = [np.frombuffer(content[at : at + (len(content) - at) // 4 * 4], np.float32) for at in range(4)]
    return sum(any(_holds(values, np.frombuffer(piece, np.float32)) for values in floats) for piece in pieces)


def _holds(values: Any, piece: Any) -> bool:
    first = values[: -len(piece)]
    starts = np.flatnonzero((first > piece[0] - 1e-6) & (first < piece[0] + 1e-6))
    return any(np.allclose(values[start : start + len(piece)], piece, atol=1e-6) for start in starts)


@pytest.mark.long
@pytest.mark.parametrize("over", [over_sqlite, over_postgres])
def test_no_byte_of_an_erased_user_is_left_anywhere(over, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("faker").setLevel(logging.INFO)
    with over(tmp_path / "files", {}) as whole:
        store = whole.store
        samples.fill(store, ALL, "bob", "talk of bob")
        plant(store, turns=60)
        store.load_messages([Window(SHARED, 20), Window(mark("talk"), 20)])
        whole.refreshed()
        written_during_an_outage(whole)
        whole.plug.down = False
        drained(store)
        whole.refreshed()
        before, pieces = others(store), vectors(whole)
        indexed = found(whole.folders[RECALL], pieces)
        copies = copied_by_an_upgrade(whole)
        written_during_an_outage(whole)
        planted = whole.markers()
        forgotten = store.erase_users([USER, LATE])
        whole.plug.down = False
        drained(store)
        receipt = erase_users(store, [USER, LATE], lambda *_: None)
        receipt.save(tmp_path / "receipt.json")
        whole.refreshed()
        if whole.url:
            run_documented(whole.url, "DELETE")

        for copy in copies:  # named, since it is out of reach, and removed by whoever reads that
            assert str(copy) in str(receipt.tiers[-1].remaining)
            assert find_markers([copy.parent]).keys() == {str(copy)}
            copy.unlink()
        assert "accepted" in forgotten[0].remaining[0]
        assert receipt.is_complete(), receipt.checks
        assert planted.keys() >= {*list(whole.folders)[:2], "memory-fallback", RECALL}, planted
        assert indexed == len(pieces) > 10
        assert whole.markers() == {}
        assert [found(folder, pieces) for folder in whole.folders.values()] == [0] * len(whole.folders)
        assert others(store) == before
    assert find_markers([tmp_path]) == {}
    assert MARK not in caplog.text


def written_by(plants: Any) -> dict[str, list[Any]]:
    """Return what a function gives to each write of a store, by the write's name."""
    given: dict[str, list[Any]] = {}

    class Listening(Store):
        def __getattribute__(self, name: str) -> Any:
            method = super().__getattribute__(name)
            if not name.startswith(("save_", "update_")):
                return method
            return lambda items: (given.setdefault(name, []).extend(items), method(items))[1]

    with Listening(Chain.of({"memory-fallback": MemoryFallbackDriver()})) as store:
        plants(store)
    return given


def records_in(records: Sequence[Any]) -> Iterator[Any]:
    """Yield records, and the records in their fields."""
    for record in records:
        yield record
        for name in attrs.fields_dict(type(record)):
            value = getattr(record, name)
            if isinstance(value, Sequence) and value and attrs.has(type(value[0])):
                yield from records_in(value)


def test_markers_go_in_by_every_write_and_every_field():
    given = written_by(lambda store: plant(store, turns=12))
    writes = {
        name for name, _ in inspect.getmembers(Store, inspect.isfunction) if name.startswith(("save_", "update_"))
    }
    texts: set[str] = set()
    marked: set[str] = set()
    for record in (record for records in given.values() for record in records_in(records)):
        for name, hint in get_type_hints(type(record)).items():
            field = f"{type(record).__name__}.{name}"
            texts |= {field} if any(part in str(hint) for part in ("str", "dict", "Any")) else set()
            marked |= {field} if MARK in repr(_plainly(getattr(record, name))) else set()

    assert writes - given.keys() == {"save_vectors"}, "which the index writes by itself, and which holds no text"
    assert sorted(field for field in texts - marked if not field.endswith(".role")) == []


def _plainly(value: Any) -> Any:
    """Return a value with every text in it, also those that records leave out of their own representation."""
    return msgspec.to_builtins(value) if attrs.has(type(value)) or isinstance(value, Sequence) else value
