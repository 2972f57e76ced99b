"""Search by meaning: what is found, what goes, what is kept where, and what it costs those who do not use it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whisper_persistence_drivers.recall import jobs

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.errors import ConfigurationError, StoreClosedError
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ClearMark, Message, MessageEdit, MessageRedaction, State, VectorQuery
from whisper_persistence.testing import samples

from .conftest import Memories, Memory

START = samples.MOMENT
MEANT = {"pet": "my puppy chases the cat", "sea": "we sailed over the ocean", "cake": "she baked bread and biscuits"}


def vectors(memory: Any) -> dict[str, bytes]:
    """Return the vectors that SQL keeps, by message."""
    query = VectorQuery(memory.state.current.identity)
    page = memory.store.load_vectors([query])[query]
    return {vector.message_id: vector.embedding.values for vector in page.records}


def indexed_vectors(memory: Any) -> dict[str, bytes]:
    """Return what the index holds of each message of the conversation ``talk``."""
    from whisper_persistence_drivers.recall.labels import item_of

    items = {item_of("default", "talk", f"m{n}"): f"m{n}" for n in range(100)}
    return {items[item]: values for item, values in memory.state.index.load(list(items)).items()}


def test_a_store_without_it_imports_nothing_of_it(tmp_path: Path) -> None:
    script = """
import sys
from whisper_persistence import Store
from whisper_persistence.records import Message
with Store.from_settings(drivers=["sqlite"], options={"sqlite": {"path": sys.argv[1]}}) as store:
    store.save_messages([Message("c", "u", "u", "words")])
print(sorted({"chromadb", "numpy", "wordllama", "whisper_persistence_drivers.recall"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", script, tmp_path / "m.db"], capture_output=True, text=True, check=True)  # noqa: S603

    assert ran.stdout == "[]\n"


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """One store whose index is read and not changed: what alice says, what people say in talks, and what is private."""
    memories = Memories(tmp_path_factory.mktemp("several"))
    memory = memories.open(namespace="secret-bot")
    memory.say(40)
    memory.store.save_messages([samples.message("other", text, message_id=name) for name, text in MEANT.items()])
    people, secret = [("a", "a"), ("a", "bot"), ("b", "b"), ("b", "a")], "my secret is number {} zanzibar"
    said = [
        Message(f"talk{n % 3}", *people[n % 4], memory.saying(n), "user", f"f{n}", START + timedelta(hours=2 * n))
        for n in range(60)
    ]
    memory.store.save_messages(said)
    memory.store.save_messages([Message("own", "Ann-Kathrin", "Ann-Kathrin", secret.format(n)) for n in range(30)])
    memory.settle()
    yield memory
    memories.close()


def test_what_is_meant_is_found_without_its_words_by_index_and_by_scan_alike(several: Memory, memories: Any) -> None:
    asked = {"pet": "dogs", "sea": "a ship on the water", "cake": "cooking dessert"}
    by_index = {name: several.find(text) for name, text in asked.items()}
    small = memories.open("secret-bot", several.path, index_from=1_000, few=1_000)

    assert {name: result.hits[0].message.message_id for name, result in by_index.items()} == {n: n for n in asked}
    assert {result.answered for result in by_index.values()} == {("meaning",)}
    for name, text in asked.items():
        assert small.find(text).hits[0].message.message_id == name
        assert small.meanings(text) == pytest.approx(several.meanings(text), abs=2e-3)
    assert "chromadb" not in sys.modules


def test_filters_hold_in_the_index(several: Memory) -> None:
    soon = START + timedelta(hours=20)
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"user_id": "a"}, lambda n: n % 4 < 2),
        ({"user_id": None, "author_id": "a"}, lambda n: n % 4 in (0, 3)),
        ({"user_id": None, "conversation_id": "talk1"}, lambda n: n % 3 == 1),
        ({"user_id": "b", "conversation_id": "talk2", "author_id": "a"}, lambda n: n % 4 == 3 and n % 3 == 2),
        ({"user_id": None, "since": soon, "until": START + timedelta(days=90)}, lambda n: n >= 10),
        ({"user_id": None, "until": soon}, lambda n: n < 10),
        ({"user_id": "nobody"}, lambda _: False),
    ]
    for filters, allowed in cases:
        everything = {f"f{n}" for n in range(60) if allowed(n)}
        seen = set(several.found("an otter near the harbour, a bison in the castle", limit=100, **filters))

        assert seen <= everything
        assert len(seen) >= len(everything) // 2, filters
    assert several.find("otter").answered == ("meaning",)


def test_neither_texts_nor_names_lie_beside_the_vectors_and_nobody_else_may_look(several: Memory) -> None:
    files = several.files().lower()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (several.folder, *several.folder.glob("index-*"))}
    pid = several.health().details["pid"]

    assert not [word for word in (b"zanzibar", b"secret", b"ann-kathrin") if word in files]
    assert modes == {0o700}
    assert _sockets(pid) & _network(pid) == set()


def test_what_goes_from_sql_goes_from_the_index_and_its_files(memories: Any) -> None:
    memory = memories.open()
    memory.say(20)
    memory.say(20, "others", "bob")
    memory.store.save_messages([Message("talk", "bob", "bob", "nobody else speaks of zeppelins", message_id="m90")])
    memory.settle()
    kept = {**vectors(memory), **indexed_vectors(memory)}

    assert indexed_vectors(memory)["m90"] in memory.files()
    assert memory.found("airships", user_id="bob")[0] == "m90"

    memory.store.update_messages(
        [MessageEdit("talk", "m3", "a submarine dives"), MessageRedaction("talk", "m4"), ClearMark("others")]
    )
    memory.settle()

    assert memory.found("diving under the sea")[0] == "m3"
    assert "m4" not in indexed_vectors(memory)
    assert indexed_vectors(memory)["m5"] != kept["m5"]  # its neighbours say something else now
    assert memory.found("otter badger lynx", user_id="bob") == ["m90"]
    assert kept["m4"] not in memory.files()

    report = memory.store.erase_users(["bob", "nobody"])[0]

    assert (report.tier, report.rewritten, report.remaining) == ("chroma-recall", ("index",), ())
    assert kept["m90"] not in memory.files()
    assert "m90" not in vectors(memory)
    assert memory.found("airships", user_id="bob") == []
    assert memory.settle().details["vectors"] == 19


def test_the_vector_of_former_words_goes_from_the_files_after_an_edit(memories: Any) -> None:
    memory = memories.open()
    memory.say(5)
    memory.settle()
    former = indexed_vectors(memory)
    assert former["m3"] in memory.files()

    memory.store.update_messages([MessageEdit("talk", "m3", "never mind")])
    memory.settle()

    assert former["m3"] not in memory.files()
    assert indexed_vectors(memory).keys() == former.keys()


def test_what_was_cleared_is_gone_from_the_meaning_of_what_is_shown(memories: Any) -> None:
    memory = memories.open()
    users = [Message("talk", f"u{n % 3}", "bot", memory.saying(n), message_id=f"m{n}") for n in range(30)]
    memory.store.save_messages(users)
    memory.settle()
    former = indexed_vectors(memory)

    memory.store.update_messages([ClearMark("talk", through=10)])
    memory.settle()
    left = indexed_vectors(memory)

    assert sorted(left) == sorted(f"m{n}" for n in range(10, 30))
    assert {name for name, values in left.items() if values != former[name]} == {f"m{n}" for n in range(10, 22)}
    for _ in jobs.audit(memory.state.below, "default", memory.state.index, lambda: 0):
        pass  # raises where a vector is not as a new build would have it


@pytest.mark.long
def test_neighbours_across_redacted_messages_follow_each_other_in_the_index_as_in_a_new_build(memories: Any) -> None:
    memory = memories.open()
    memory.say(60)
    memory.settle()
    memory.store.update_messages([MessageRedaction("talk", f"m{n}") for n in (11, 12, *range(30, 50))])
    memory.settle()
    memory.store.update_messages([MessageEdit("talk", "m10", "a submarine"), MessageEdit("talk", "m29", "a zeppelin")])
    memory.settle()

    for _ in jobs.audit(memory.state.below, "default", memory.state.index, lambda: 0):
        pass  # raises where a vector is not as a new build would have it


def _sockets(pid: int) -> set[str]:
    """Return the numbers of the sockets that a process has open."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}


def _network(pid: int) -> set[str]:
    """Return the numbers of all sockets that reach over a network."""
    tables = (Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6"))
    return {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}


@pytest.mark.long
def test_few_memories_need_no_index_and_many_get_one(memories: Any) -> None:
    memory = memories.open(index_from=50, few=10)
    memory.say(40)
    few = memory.settle(index=False)

    assert (few.state, few.details["answers_by"], memory.state.index) == (State.UP, "scan", None)
    assert memory.find("otter").answered == ("meaning",)
    assert memory.store.erase_users(["nobody"])[0].remaining == ()

    memory.say(40, start=40)
    memory.store.save_messages([samples.message("side", "a violin plays", "carl", message_id="v")])
    many = memory.settle()

    assert (many.state, many.details["answers_by"], many.details["vectors"]) == (State.UP, "index", 81)
    assert memory.found("music", user_id="carl") == ["v"]


def test_what_was_there_before_it_is_found_too(memories: Any, tmp_path: Path) -> None:
    plain = Store(Chain.build([DriverSpec("sqlite", {"path": tmp_path / "memory.db"})]))
    with plain:
        plain.save_messages(samples.talk(30))
        plain.save_messages(
            [
                samples.message("talk", "the orchestra rehearses", message_id="old"),
                samples.message(content="", message_id="empty"),
            ]
        )
    memory = memories.open(few=1_000, index_from=1_000)
    memory.settle(index=False)

    assert memory.found("music and concerts")[0] == "old"
    assert len(vectors(memory)) == 31


def test_a_driver_below_that_keeps_no_vectors_is_refused(tmp_path: Path) -> None:
    specs = [DriverSpec("chroma-recall", {"path": tmp_path})]

    with pytest.raises(ConfigurationError, match="finds no driver below"):
        Store(Chain.build(specs))


@pytest.mark.parametrize("embedder", ["", "wordlama", "chroma:", "os", "no_such_module:embed", "os:no_such"])
def test_an_embedder_that_is_none_is_refused_by_name(tmp_path: Path, embedder: str) -> None:
    specs = [
        DriverSpec("chroma-recall", {"path": tmp_path / "recall", "embedder": embedder}),
        DriverSpec("sqlite", {"path": tmp_path / "memory.db"}),
    ]
    with pytest.raises(ConfigurationError, match="embedder"):
        Store(Chain.build(specs))


def test_embed_answers_unit_vectors_for_any_text(memories: Any) -> None:
    memory = memories.open(index_from=9)
    texts = [
        "",
        " ",
        "\U0001f600" * 3,
        "\u05e9\u05dc\u05d5\u05dd",
        "x" * 1_000_000,
        "words " * 100_000,
        "a",
        "the dog",
        "the dog",
    ]
    found = memory.store.embed(texts)
    lengths = [float(np.linalg.norm(np.frombuffer(each.values, dtype="<f4"))) for each in found]

    assert {each.model for each in found} == {memory.state.current.identity}
    assert all(length == pytest.approx(1.0, abs=1e-5) or length == 0.0 for length in lengths)
    assert found[-1] == found[-2] == memory.store.embed(["the dog"])[0]


def test_logging_of_the_program_is_left_alone(memories: Any) -> None:
    script = """
import logging
from pathlib import Path
from whisper_persistence_drivers.recall.embedders import make_embedder
make_embedder("wordllama", {}, Path("."), 1)
print(logging.getLogger().handlers, logging.getLogger().level)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603

    assert ran.stdout == "[] 30\n"


@pytest.mark.long
def test_closing_leaves_nothing_behind_and_a_closed_one_is_refused(memories: Any) -> None:
    memory = memories.open()
    memory.say(5)
    pid = memory.settle().details["pid"]
    driver = memory.driver
    memory.store.close()

    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(StoreClosedError):
        driver.search_messages([])
    with pytest.raises(StoreClosedError):
        driver.embed(["x"])


@pytest.mark.long
def test_a_forked_process_scans_and_leaves_the_index_to_its_parent(memories: Any) -> None:
    memory = memories.open()
    memory.say(30)
    pid = memory.settle().details["pid"]
    expected = memory.meanings("otter harbour")
    child = os.fork()
    if child == 0:
        same = memory.meanings("otter harbour") == pytest.approx(expected, abs=2e-3)
        aside = memory.health().details["owned_here"] is False
        os._exit(0 if same and aside else 1)
    _, code = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(code) == 0
    assert memory.health().details["pid"] == pid
    assert memory.meanings("otter harbour") == expected
