"""With encryption above the whole chain no word is in any file of any tier at any time, and other keys open nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_tools.everything import Everything, over_postgres, over_sqlite
from fault_tools.stores import drained

from whisper_persistence import Message, Store, Window
from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.operations import erase_users
from whisper_persistence.plugins import Chain
from whisper_persistence.records import RECORD_KINDS, OutcomeQuery, ScoreQuery, SearchQuery
from whisper_persistence.testing.markers import MARK, SECRET, SHARED, USER, contents, mark, plant, secret

encryption: Any = pytest.importorskip(
    "whisper_persistence_encryption", reason="contrib/whisper-persistence-encryption is not installed"
)

MASTER = encryption.new_master_key()
READS: dict[str, Callable[[Store], Any]] = {
    "load_strategies": lambda store: store.load_strategies([USER]),
    "load_outcomes": lambda store: store.load_outcomes([OutcomeQuery(USER)]),
    "load_statistics": lambda store: store.load_statistics([USER]),
    "load_patterns": lambda store: store.load_patterns([USER]),
    "load_preferences": lambda store: store.load_preferences([USER]),
    "load_scores": lambda store: store.load_scores([ScoreQuery(USER)]),
    "load_messages": lambda store: store.load_messages([Window(mark("talk"))]),
    "search_messages": lambda store: store.search_messages([SearchQuery(SECRET, USER)]),
    **{f"scan {kind}": lambda store, kind=kind: store.scan(kind, None, 10) for kind in RECORD_KINDS},
}


def sealed(folder: Path, keys: str = "keys.db") -> dict[str, Any]:
    return {"encryption": encryption.EncryptionDriver((MASTER,), key_store=str(folder / keys))}


def looking(store: Store, after: Callable[[], None]) -> Any:
    """Return a store that has a look taken after each of its writes."""

    class Looking:
        def __getattr__(self, name: str) -> Any:
            method = getattr(store, name)
            return (lambda items: (method(items), after())[0]) if name.startswith(("save_", "update_")) else method

    return Looking()


def written_during_an_outage(whole: Everything, store: Store) -> None:
    whole.plug.down = True
    said = [Message(mark("late"), USER, USER, secret("late"), message_id=mark(f"late{n}")) for n in range(9)]
    store.save_messages(said)
    whole.plug.down = False
    drained(whole.store)


@pytest.mark.long
@pytest.mark.parametrize("over", [over_sqlite, over_postgres])
def test_no_word_is_in_any_file_of_any_tier_after_any_write(over, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("faker").setLevel(logging.INFO)
    seen: list[dict[str, int]] = []
    with over(tmp_path / "files", sealed(tmp_path)) as whole:
        plainly = looking(whole.store, lambda: seen.append(whole.markers(SECRET)))
        plant(plainly, turns=12)
        plainly.save_messages([Message(SHARED, "bob", "bob", secret("of bob"), message_id="bob")])
        written_during_an_outage(whole, plainly)
        whole.store.load_messages([Window(SHARED, 20), Window(mark("talk"), 20)])
        whole.refreshed()
        seen.append(whole.markers(SECRET))

        assert len(seen) > 30
        assert seen == [{}] * len(seen)
        assert len(whole.markers(MARK)) > 2, "ids are readable: drivers find records by them"
        assert secret("said") in str(contents(whole.store, ""))
        with Store(Chain.of({**sealed(tmp_path, "other keys.db"), **below(whole)}), whole.store.namespace) as other:
            assert [name for name, read in READS.items() if not refuses(read, other)] == []
        assert erase_users(whole.store, [USER], lambda *_: None).is_complete()
    assert SECRET not in caplog.text


def refuses(read: Callable[[Store], Any], store: Store) -> bool:
    """Say whether a read raises since what it found cannot be opened."""
    try:
        read(store)
    except StorageDamagedError as error:
        return "cannot be opened" in str(error)
    return False


def below(whole: Everything) -> dict[str, object]:
    """Return a driver of the same database, by its name."""
    name, database = list(whole.store.chain.drivers.items())[-1]
    place = {"path": database.path} if name == "sqlite" else {"url": whole.url}  # type: ignore[attr-defined]
    return {name: type(database)(**place, tamper_evidence=True, tamper_key=database.tamper_key)}  # type: ignore[attr-defined]
