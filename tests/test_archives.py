"""Archives: exported, imported elsewhere, exported again, and they are equal; damage and forgery are found before."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from whisper_persistence import ConfigurationError, IncompatibleSchemaError, StorageDamagedError, Store
from whisper_persistence.operations import Archive, Manifest, export_archive, import_archive, import_file
from whisper_persistence.operations.reading import read_pages
from whisper_persistence.records import (
    RECORD_KINDS,
    ClearMark,
    Message,
    MessageEdit,
    MessageRedaction,
    StatisticsChange,
    StrategyChange,
    Window,
)
from whisper_persistence.testing import SUBJECT_CAPABILITIES, nasty, samples
from whisper_persistence.testing.markers import MARK, SHARED, USER, plant


def nothing(*_: Any) -> None:
    """Be told of the work and say nothing."""


def fill(store: Store) -> None:
    """Write what is hard to carry: nasty names, edits, redactions, clear marks, orders that are not those of time."""
    for n, user in enumerate(nasty.IDS[::3]):
        samples.fill(store, SUBJECT_CAPABILITIES, user, f"talk {n}")
    store.update_statistics([StatisticsChange("u", [samples.score(f"m{n}", n / 100, "u") for n in (5, 3, 9)])])
    store.update_statistics([StatisticsChange("u", [samples.score("m5", 0.9, "u")], forgotten=["m3"])])
    store.update_strategies([StrategyChange("u", [samples.outcome(n / 10) for n in range(5)])])
    store.save_messages([Message("long", "u", "u", f"said {n}", message_id=f"m{n}") for n in range(30)])
    store.save_messages([Message("long", "v", "w", "of others", message_id="of v")])
    store.update_messages([ClearMark("long", 12), MessageEdit("long", "m20", "other"), MessageRedaction("long", "m21")])


@pytest.fixture
def open_store(tmp_path: Path, migrated_file: None, request: pytest.FixtureRequest) -> Callable[[str], Store]:
    """A function that opens an empty store on the database that it is told."""

    def opened(kind: str, name: str = "memory") -> Store:
        if kind == "postgres":
            return Store.from_settings(url=request.getfixturevalue("postgres_url"), namespace=f"{tmp_path} {name}")
        return Store.from_settings(url="memory://" if kind == "memory" else f"sqlite:///{tmp_path}/{name}.db")

    return opened


def told(archive: Path) -> Manifest:
    return Archive(archive).manifest()


@pytest.mark.parametrize(
    ("source", "elsewhere", "user"),
    [
        ("sqlite", "memory", "u"),
        ("memory", "postgres", None),
        pytest.param("postgres", "sqlite", USER, marks=pytest.mark.long),
        pytest.param("sqlite", "postgres", "u", marks=pytest.mark.long),
        pytest.param("postgres", "memory", None, marks=pytest.mark.long),
    ],
)
def test_what_is_exported_imported_elsewhere_and_exported_again_is_equal(source, elsewhere, user, open_store, tmp_path):
    with open_store(source) as store:
        fill(store)
        plant(store, turns=5)
        export_archive(store, tmp_path / "one", user, nothing)
    with open_store(elsewhere) as other:
        compared = import_archive(other, tmp_path / "one", nothing)
        export_archive(other, tmp_path / "two", user, nothing)
        again = import_archive(other, tmp_path / "one", nothing)

    assert [kind.kind for kind in compared if not kind.equal] == []
    assert again == compared
    assert told(tmp_path / "one").digest() == told(tmp_path / "two").digest()
    assert min(told(tmp_path / "one").counts().values()) >= (1 if user else 2)
    for file in (tmp_path / "one").glob("*.jsonl"):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_everything_means_every_record(open_store, tmp_path):
    with open_store("sqlite") as store:
        fill(store)
        manifest = export_archive(store, tmp_path / "all", None, nothing)
        counts = {kind: sum(len(page.records) for page in read_pages(store, kind)) for kind in RECORD_KINDS}

    assert manifest.counts() == {**counts, "cleared": 1}
    assert (tmp_path / "all").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "all").iterdir()} == {0o600}


def test_of_one_user_it_holds_what_concerns_them_and_what_they_wrote_and_nothing_else(open_store, tmp_path):
    with open_store("sqlite") as store:
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        plant(store, turns=5)
        export_archive(store, tmp_path / "user", USER, nothing)
    texts = [file.read_text(encoding="utf-8") for file in (tmp_path / "user").glob("*.jsonl")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    shared = [line for line in lines if line.get("conversation_id") == SHARED and "content" in line]

    assert len(shared) == 15
    assert all(USER in (line["user_id"], line["author_id"]) for line in shared)
    assert {line["user_id"] for line in lines if "user_id" in line} == {USER, "bob"}
    assert "talk of bob" not in "".join(texts)


def test_what_is_cleared_stays_cleared(open_store, tmp_path):
    with open_store("sqlite") as store:
        fill(store)
        export_archive(store, tmp_path / "all", None, nothing)
        window = Window("long", 100)
        shown = [message.content for message in store.load_messages([window])[window]]
    with open_store("memory") as other:
        import_archive(other, tmp_path / "all", nothing)

        assert [message.content for message in other.load_messages([window])[window]] == shown
        assert len(shown) == 19


def test_importing_one_users_archive_hides_nothing_of_others(open_store, tmp_path):
    talk = Window("talk")
    with open_store("sqlite") as store:
        first = store.save_messages([samples.message("talk", "cleared", "alice", message_id="a1")])
        store.update_messages([ClearMark("talk", first[0].sequence)])
        store.save_messages([samples.message("talk", "of bob", "bob", author_id="bob", message_id="b1")])
        store.save_messages([samples.message("talk", "of alice", "alice", message_id="a2")])
        export_archive(store, tmp_path / "alice", "alice", nothing)
        store.erase_users(["alice"])
        for _ in range(2):
            compared = {one.kind: one.equal for one in import_archive(store, tmp_path / "alice", nothing)}

            assert [message.content for message in store.load_messages([talk])[talk]] == ["of bob", "of alice"]
            assert (compared["messages"], compared["cleared"]) == (False, False)


def test_a_zip_file_holds_the_same_and_equal_ones_are_equal_files(open_store, tmp_path):
    with open_store("sqlite") as store:
        fill(store)
        export_archive(store, tmp_path / "folder", None, nothing)
        packed = export_archive(store, tmp_path / "all.zip", None, nothing)
    with open_store("memory") as other:
        assert all(kind.equal for kind in import_archive(other, tmp_path / "all.zip", nothing))
    assert packed.digest() == told(tmp_path / "folder").digest() == told(tmp_path / "all.zip").digest()
    assert (tmp_path / "all.zip").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.glob("*unfinished*")) == []


def test_a_file_of_an_archive_is_one_that_import_takes_by_itself(open_store, tmp_path):
    with open_store("sqlite") as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        export_archive(store, tmp_path / "all", None, nothing)
    with open_store("memory") as other:
        counts = [import_file(other, tmp_path / "all" / f"{kind}.jsonl") for kind in ("outcomes", "messages")]

    assert counts == [{"outcomes": 1}, {"messages": 3}]


def test_what_the_store_held_besides_shows_as_a_difference(open_store, tmp_path):
    with open_store("sqlite") as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        export_archive(store, tmp_path / "alice", "alice", nothing)
        store.save_messages([Message("talk", "alice", "alice", "later")])
        compared = {kind.kind: kind for kind in import_archive(store, tmp_path / "alice", nothing)}

    assert [name for name, kind in compared.items() if not kind.equal] == ["messages"]
    assert (compared["messages"].source, compared["messages"].destination) == (3, 4)


def test_an_import_writes_nothing_beside_the_store(open_store, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    seen: set[Path] = set()
    with open_store("sqlite") as store:
        fill(store)
        export_archive(store, tmp_path / "all", None, nothing)
    before = set(tmp_path.iterdir())
    with open_store("memory") as other:
        compared = import_archive(other, tmp_path / "all", lambda *_: seen.update(tmp_path.rglob("*")))

    assert all(kind.equal for kind in compared)
    assert {path for path in seen if path not in before and path.parent != tmp_path / "all"} == set()


def test_an_archive_overwrites_nothing_and_leaves_nothing_half_done(open_store, tmp_path):
    (tmp_path / "mine").mkdir()
    with open_store("sqlite") as store:
        with pytest.raises(ConfigurationError, match=r"there is .*mine already: name another place"):
            export_archive(store, tmp_path / "mine", None, nothing)
        with pytest.raises(ConfigurationError, match=r"cannot be written \(No such file or directory\)"):
            export_archive(store, tmp_path / "absent" / "archive", None, nothing)

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        samples.fill(store, SUBJECT_CAPABILITIES)
        with pytest.raises(KeyboardInterrupt):
            export_archive(store, tmp_path / "new", None, stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory.db", "mine"]


def forge_line(folder: Path) -> None:
    file = folder / "messages.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"content":"', '"content":"not '), encoding="utf-8")


def add_line(folder: Path) -> None:
    with (folder / "messages.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")


def remove_file(folder: Path) -> None:
    (folder / "outcomes.jsonl").unlink()


def cut_manifest(folder: Path) -> None:
    file = folder / "manifest.json"
    file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize("forge", [forge_line, add_line, remove_file, cut_manifest])
@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_that_is_damaged_is_refused_before_anything_is_written(forge, packed, open_store, tmp_path):
    with open_store("sqlite") as store:
        store.save_messages(samples.talk(3))
        store.update_strategies([StrategyChange("alice", [samples.outcome()])])
        export_archive(store, tmp_path / "all", None, nothing)
    forge(tmp_path / "all")
    path = tmp_path / "all"
    if packed:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "all"))
    with open_store("memory") as other:
        with pytest.raises(StorageDamagedError, match="archive"):
            import_archive(other, path, nothing)
        assert not [page.records for kind in RECORD_KINDS for page in read_pages(other, kind) if page.records]


def test_a_cut_zip_file_is_no_archive(open_store, tmp_path):
    with open_store("sqlite") as store:
        fill(store)
        export_archive(store, tmp_path / "all.zip", None, nothing)
        (tmp_path / "all.zip").write_bytes((tmp_path / "all.zip").read_bytes()[:-100])
        for path in (tmp_path / "all.zip", tmp_path / "absent", tmp_path):
            with pytest.raises(ConfigurationError, match="is not an archive"):
                import_archive(store, path, nothing)


@pytest.mark.parametrize("change", [{"version": 2}, {"format": "another"}])
def test_an_archive_of_a_newer_release_is_refused_by_version(change, open_store, tmp_path):
    with open_store("memory") as store:
        export_archive(store, tmp_path / "all", None, nothing)
        manifest = tmp_path / "all" / "manifest.json"
        manifest.write_bytes(msgspec.json.encode({**msgspec.json.decode(manifest.read_bytes()), **change}))
        with pytest.raises(IncompatibleSchemaError, match=r"install a newer release"):
            import_archive(store, tmp_path / "all", nothing)


def test_a_manifest_that_names_files_outside_reads_none_of_them(open_store, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_text(
        '{"conversation_id": "c", "user_id": "u", "author_id": "u", "content": "secret"}\n', encoding="utf-8"
    )
    with open_store("memory") as store:
        export_archive(store, tmp_path / "all", None, nothing)
        manifest = tmp_path / "all" / "manifest.json"
        forged = msgspec.json.decode(manifest.read_bytes())
        digest = hashlib.sha256(secret.read_bytes()).hexdigest()
        told = {"kind": "messages", "records": 1, "size": secret.stat().st_size, "sha256": digest}
        for name in ("../secret.jsonl", str(secret), "outcomes.jsonl"):
            manifest.write_bytes(msgspec.json.encode({**forged, "files": [{"name": name, **told}]}))
            with pytest.raises(StorageDamagedError, match="names a file that"):
                import_archive(store, tmp_path / "all", nothing)
        assert store.scan("messages", None, 1).records == ()


def test_a_store_that_keeps_less_exports_less(tmp_path):
    pytest.importorskip("whisper_persistence_jsonl", reason="contrib/whisper-persistence-jsonl is not installed")
    with Store.from_settings(drivers=["jsonl"], options={"jsonl": {"directory": str(tmp_path / "talks")}}) as store:
        store.save_messages([Message("talk", MARK, MARK, "hello")])
        manifest = export_archive(store, tmp_path / "all", None, nothing)

    assert manifest.counts() == {"messages": 1, "cleared": 0}
    with zipfile.ZipFile(tmp_path / "x.zip", "w"):
        assert manifest.user_id is None
