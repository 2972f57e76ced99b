"""What ``whisper-persistence copy`` says, and what it refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.operations import Checkpoint, find_places
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.scanning import scan_all

from .copies import HIDDEN, open_store, run, run_copy, sqlite_url


def test_an_empty_source_is_told(tmp_path):
    with open_store(sqlite_url(tmp_path, "empty")):
        pass
    result = run("copy", "--from", sqlite_url(tmp_path, "empty"), "--to", sqlite_url(tmp_path, "to"))

    assert result.exit_code == 0
    assert "the source holds nothing in this namespace" in result.output


def test_the_screen_says_what_is_equal_and_what_is_not_carried(small, tmp_path):
    said = run("copy", "--from", small, "--to", sqlite_url(tmp_path, "to")).output

    assert "hold the same, by number and content" in said
    assert "not carried: positions, revisions" in said
    assert "what is cleared stays cleared" in said
    assert said.count("equal") == 7


def test_the_namespace_is_that_of_both(tmp_path):
    ours, theirs = (sqlite_url(tmp_path, name) for name in ("a", "b"))
    for namespace in ("elena", "marcus"):
        with open_store(ours, namespace) as store:
            samples.fill(store, SUBJECT_CAPABILITIES, namespace)
    run_copy(ours, theirs, "--namespace", " Elena ")

    with open_store(theirs, "elena") as store, open_store(theirs, "marcus") as other:
        assert {record.user_id for record in scan_all(store, "outcomes", 10)} == {"elena"}
        assert scan_all(other, "outcomes", 10) == []


def test_layers_and_observers_of_the_settings_have_no_part_in_it(small, tmp_path, monkeypatch):
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "memory-fallback,sqlite")
    monkeypatch.setenv("WHISPER_PERSISTENCE_OBSERVERS", "absent")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_PATH", str(tmp_path / "elsewhere.db"))
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_SUBJECTS", "strategies")
    run_copy(small, sqlite_url(tmp_path, "to"))
    monkeypatch.undo()

    with open_store(sqlite_url(tmp_path, "to")) as store:
        assert len(scan_all(store, "messages", 10)) == 3
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("sqlite:///{0}/small.db", "sqlite:///{0}/small.db?synchronous=normal"),
        ("sqlite:///{0}/small.db", "sqlite:///{0}/state/../small.db"),
        ("sqlite:///{0}/link.db", "sqlite:///{0}/small.db"),
        ("sqlite:///{0}/hard.db", "sqlite:///{0}/small.db"),
        ("memory://", "memory://"),
        ("postgresql://a:s3cr3t-pa55@DB/bot", "postgres://b@db:5432/bot?sslmode=require"),
        ("postgresql://a:s3cr3t-pa55@127.0.0.1/bot", "postgresql+psycopg://localhost/bot"),
        ("postgresql://a:s3cr3t-pa55@/bot?host=/tmp/x", "postgresql:///bot?host=/tmp/x&port=5432"),
        ("postgresql://a:s3cr3t-pa55@[::1]/a", "postgresql://a@/?host=localhost"),
    ],
)
def test_one_database_is_not_copied_onto_itself(source, destination, small, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "small.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "small.db")
    result = run("copy", "--from", source.format(tmp_path), "--to", destination.format(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: source and destination of the copy are the same database: name two\n"


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("postgresql://db/a", "postgresql://db/b"),
        ("postgresql://db/a", "postgresql://db:5433/a"),
        ("postgresql://db/a", "postgresql://db2/a"),
        ("postgresql:///a?host=/tmp/x", "postgresql:///a?host=/tmp/y"),
        ("postgresql://a,b:5433/x", "postgresql://a,c:5433/x"),
    ],
)
def test_two_databases_are_two(source, destination):
    found, wanted = find_places(source, destination)

    assert found.name != wanted.name


def test_a_source_that_is_not_there_is_not_made(tmp_path):
    result = run("copy", "--from", sqlite_url(tmp_path, "absent"), "--to", sqlite_url(tmp_path, "to"))

    assert result.exit_code == 1
    assert result.stderr == f"Error: there is nothing to copy: {tmp_path}/absent.db is not there\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("copy",),
        ("copy", "--from", "memory://"),
        ("copy", "--to", "memory://"),
        ("--url", "memory://", "copy", "--from", "memory://", "--to", "memory://"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "url",
    [f"mysql://bot:{HIDDEN}@db/x", f"postgresql://bot:{HIDDEN}@[db/x", f"postgresql://bot:{HIDDEN}@127.0.0.1:1/x"],
)
def test_a_password_is_never_shown(url, small):
    for arguments in (("--from", url, "--to", small), ("--from", small, "--to", url)):
        result = run("copy", *arguments)

        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert HIDDEN not in result.output + repr(result.exception)


def test_a_file_that_is_not_its_checkpoint_is_left_alone(small, tmp_path):
    to, precious = sqlite_url(tmp_path, "to"), tmp_path / "precious.txt"
    precious.write_text("words")
    wrong = run("copy", "--from", small, "--to", to, "--checkpoint", precious)
    Checkpoint.load(tmp_path / "point.json", "another")
    other = run("copy", "--from", small, "--to", to, "--checkpoint", tmp_path / "point.json")
    nowhere = run("copy", "--from", small, "--to", to, "--checkpoint", "/proc/absent/point.json")

    assert [result.exit_code for result in (wrong, other, nowhere)] == [1, 1, 1]
    assert wrong.stderr == f"Error: {precious} is not a checkpoint of a copy: name another file\n"
    assert "belongs to another copy" in other.stderr
    assert "the checkpoint /proc/absent/point.json cannot be used" in nowhere.stderr
    assert precious.read_text() == "words"


def test_a_checkpoint_names_neither_place_nor_password(tmp_path):
    place, other = find_places(f"postgresql://bot:{HIDDEN}@secret-host/x", f"postgresql://bot:{HIDDEN}@other/x")

    assert HIDDEN not in repr(place) + place.name + repr(other)
    with pytest.raises(ConfigurationError):
        Checkpoint.load(tmp_path, "a folder")


def test_a_destination_that_does_not_answer_is_gone_on_with_later(small, tmp_path):
    to = sqlite_url(tmp_path, "to")
    with open_store(to):
        pass
    with closing(sqlite3.connect(tmp_path / "to.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        result = run("copy", "--from", small, "--to", f"{to}?busy_timeout=0.05")

    assert result.exit_code == 1
    assert result.stderr.endswith("the same command goes on where this one stopped\n")
    assert len(list((tmp_path / "state" / "whisper-persistence" / "copies").iterdir())) == 1
    assert run_copy(small, f"{to}?busy_timeout=0.05")["equal"]


def test_a_source_that_may_only_be_read_is_copied(small, postgres_url, tmp_path):
    run_copy(small, postgres_url)
    more = "&" if "?" in postgres_url else "?"
    read_only = f"{postgres_url}{more}options=-c%20default_transaction_read_only%3Don"
    back = run_copy(read_only, sqlite_url(tmp_path, "back"))

    assert back["kinds"]["messages"] == {"source": 3, "destination": 3, "equal": True}
