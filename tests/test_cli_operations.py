"""The commands of an operator, as they are typed: exit codes, questions, JSON for machines, bars on a real terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pexpect
import psycopg
import pytest
from click.testing import CliRunner, Result
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.markers import MARK


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory of two users, closed."""
    path = tmp_path_factory.mktemp("filled") / "memory.db"
    with Store(Chain.of({"sqlite": SqliteDriver(path)})) as store:
        for user in ("alice", "bob"):
            samples.fill(store, SUBJECT_CAPABILITIES, user, f"talk of {user}")
    return path


@pytest.fixture(autouse=True)
def url(filled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A copy of it for one test, which every command finds by the environment."""
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    url = f"sqlite:///{tmp_path}/memory.db"
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", url)
    shutil.copy(filled, tmp_path / "memory.db")
    return url


def run(*arguments: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)


def run_json(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")

    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def kept(user: str) -> bool:
    return bool(run_json("show", user)["strategy"])


def _heed_ctrl_c() -> None:
    """Heed Ctrl-C also where these tests were started in the background, where a shell has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminal:
    """A process on a real terminal."""

    def __init__(self, *arguments: str | Path) -> None:
        command = ["-m", "whisper_persistence", *map(str, arguments)]
        self.process = pexpect.spawn(
            sys.executable, command, encoding="utf-8", timeout=120, dimensions=(40, 150), preexec_fn=_heed_ctrl_c
        )

    def ends(self) -> tuple[str, int | None]:
        """Return what is left to read, and the exit code."""
        rest = self.process.read()
        self.process.close()
        return rest, self.process.exitstatus


def test_a_pipe_is_shown_no_bars(tmp_path):
    piped = run("export", tmp_path / "all")

    assert (piped.exit_code, piped.stderr, "\x1b[" in piped.stdout) == (0, "", False)


def test_ctrl_c_at_the_question_changes_nothing(tmp_path):
    run("backup", tmp_path / "backup.db")
    asked = Terminal("restore", tmp_path / "backup.db", "--overwrite")
    asked.process.expect_exact("Restore? [y/N]:")
    # What comes between the question and the reading of its answer is heeded with the next: people press again.
    while asked.process.isalive():
        asked.process.kill(signal.SIGINT)
        asked.process.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=10)

    assert asked.ends()[1] == 1
    assert kept("alice")


STALLED = """
    import time

    from whisper_persistence.hookspecs import hookimpl


    class Stalled:
        contract_version = 1

        @hookimpl
        def open(self, below, namespace):
            self._below = below

        @hookimpl
        def scan(self, kind, cursor, limit):
            if kind == "messages":
                time.sleep(600)
            return self._below.scan(kind=kind, cursor=cursor, limit=limit)
"""


def test_sigterm_leaves_nothing_of_an_export_behind(tmp_path, site, monkeypatch):
    """Strategies are written when the messages, which never come, are asked for."""
    site.write("stalled", STALLED)
    site.install("stalled", {"stalled": "stalled:Stalled"})
    chain = {"URL": "", "DRIVERS": "stalled,sqlite", "SQLITE_PATH": str(tmp_path / "memory.db")}
    for name, value in chain.items():
        monkeypatch.setenv(f"WHISPER_PERSISTENCE_{name}", value)
    monkeypatch.setenv("PYTHONPATH", str(site.path))
    command = [sys.executable, "-m", "whisper_persistence", "export", str(tmp_path / "all.zip")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as export:  # noqa: S603
        begun = tmp_path / "all.zip.unfinished" / "messages.jsonl"
        deadline = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        there = begun.exists()
        for _ in range(2):
            export.terminate()

        assert (there, export.wait(60), export.stderr and export.stderr.read()) == (True, 143, "")
    assert sorted(path.name for path in tmp_path.glob("all*")) == []


def test_sigterm_is_heeded_by_commands_only():
    before = signal.getsignal(signal.SIGTERM)
    run("drivers")

    assert signal.getsignal(signal.SIGTERM) is before


def test_without_an_answer_nothing_is_destroyed(tmp_path):
    run("backup", tmp_path / "backup.db")

    assert run("erase", "alice").exit_code == 1
    assert run("restore", tmp_path / "backup.db", "--overwrite").exit_code == 1
    assert kept("alice")


def test_an_erase_says_what_was_done_and_leaves_a_receipt(tmp_path):
    told = run_json("erase", "alice", "--yes", "--receipt", tmp_path / "receipt.json")
    saved = msgspec.json.decode((tmp_path / "receipt.json").read_bytes())

    assert told["complete"] is True
    assert told["tiers"] == saved["tiers"]
    assert told["tiers"][0]["counts"]["messages"] == 3
    assert run_json("erase", "--again", tmp_path / "receipt.json", "--yes")["tiers"][0]["counts"]["messages"] == 0
    refused = run("--namespace", "another", "erase", "--again", tmp_path / "receipt.json", "--yes")
    assert (refused.exit_code, "and the memory was opened in 'another'" in refused.stderr) == (1, True)
    assert "0 removed" not in run("erase", "bob", "--yes").output


def test_a_receipt_that_cannot_be_written_stops_the_erase_before_it_begins(tmp_path):
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    result = run("erase", "alice", "--yes", "--receipt", tmp_path / "mine.json")

    assert result.exit_code == 1
    assert "mine.json cannot be written (File exists)" in result.stderr
    assert (kept("alice"), (tmp_path / "mine.json").read_text(encoding="utf-8")) == (True, "{}")


@pytest.mark.parametrize(
    "arguments",
    [
        ("erase",),
        ("erase", "alice", "--again", "x.json"),
        ("export",),
        ("backup",),
        ("completion", "tcsh"),
        ("restore",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert run(*arguments).exit_code == 2


def test_an_archive_goes_to_another_database(tmp_path, url):
    other = f"sqlite:///{tmp_path}/other.db"
    written = run_json("export", tmp_path / "alice.zip", "--user", "alice")
    read = run_json("--url", other, "import", tmp_path / "alice.zip")
    again = run("--url", other, "import", tmp_path / "alice.zip")

    assert read["equal"]
    assert {kind: found["archive"] for kind, found in read["kinds"].items()} == written["records"]
    assert "archive and store hold the same" in again.output
    assert "3 messages" in run("export", tmp_path / "folder").output.replace("6 messages", "3 messages")
    assert run_json("--url", other, "show", "bob")["strategy"] is None
    changed = run("import", tmp_path / "folder", tmp_path / "alice.zip")
    assert (changed.exit_code, "name an archive by itself" in changed.stderr) == (2, True)
    assert "is not an archive" in run("import", tmp_path).stderr


def test_a_backup_is_restored(tmp_path):
    made = run_json("backup", tmp_path / "backup.db")
    run("erase", "alice", "--yes")
    refused = run("restore", tmp_path / "backup.db")
    restored = run_json("restore", tmp_path / "backup.db", "--overwrite", "--yes")

    assert made["report"]["counts"]["conversation_history"] == 6
    assert refused.exit_code == 1
    assert "there is a memory" in refused.stderr
    assert restored["erased_again"] == 1
    assert (kept("alice"), kept("bob")) == (False, True)
    assert "verified" in run("backup", tmp_path / "more.db").output
    shown = run("restore", tmp_path / "more.db", "--overwrite", "--yes").output
    assert "erased again, since they were erased after it: 0 users" in shown


def test_a_migration_is_told_before_it_is_done(tmp_path):
    fresh = f"sqlite:///{tmp_path}/fresh.db"
    planned = run_json("--url", fresh, "migrate", "--dry-run")

    assert not (tmp_path / "fresh.db").exists()
    assert (planned["done"], planned["databases"][0]["version"]) == (False, None)
    assert "done: 0001: The tables of the first release." in run("--url", fresh, "migrate").output
    assert run_json("--url", fresh, "migrate")["databases"][0]["steps"] == []
    assert "nothing installed yet" in run("--url", f"sqlite:///{tmp_path}/none.db", "migrate", "--dry-run").output


def test_a_migration_of_postgresql_is_told_before_it_is_done(postgres_url):
    planned = run_json("--url", postgres_url, "migrate", "--dry-run")
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'whisper_persistence'"
        assert connection.execute(query).fetchall() == [(0,)]
    run("--url", postgres_url, "migrate")

    assert len(planned["databases"][0]["steps"]) >= 2
    assert run_json("--url", postgres_url, "migrate", "--dry-run")["databases"][0]["steps"] == []


def test_verify_says_what_was_changed_past_the_store_and_fails(tmp_path, monkeypatch):
    refused = run("verify")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_TAMPER_EVIDENCE", "true")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_TAMPER_KEY", "a key of the operator")
    clean = run("verify", "--json")
    (tmp_path / "heads.json").write_text(clean.stdout, encoding="utf-8")
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    with sqlite3.connect(tmp_path / "memory.db") as connection:
        connection.execute("DELETE FROM conversation_history WHERE conversation_id = 'talk of bob' AND sequence = 2")
    connection.close()
    found, alice = run("verify", "--against", tmp_path / "heads.json"), run("verify", "--user", "alice")

    assert (refused.exit_code, clean.exit_code, found.exit_code, alice.exit_code) == (1, 0, 1, 0)
    assert "tamper_evidence = true" in refused.stderr
    assert (json.loads(clean.stdout)["conversations"], json.loads(clean.stdout)["keyed"]) == (2, True)
    assert "missing: conversation talk of bob, message 2: the message was removed" in found.stdout
    assert "sqlite: 1 conversations, 3 messages, 0 not as written" in alice.stdout
    assert "is not what `verify --json` prints" in run("verify", "--against", tmp_path / "mine.json").stderr


def test_verify_names_what_cannot_be_read_and_what_is_made_of_it_is_whole_or_refused(tmp_path):
    sound = run_json("verify", "--records")
    with sqlite3.connect(tmp_path / "memory.db") as connection:
        connection.execute("UPDATE conversation_history SET record = '{' WHERE message_id = 'm1' AND user_id = 'bob'")
        connection.execute("UPDATE user_support_strategies SET record = '{' WHERE user_id = 'alice'")
    connection.close()
    damaged = run("verify", "--records")
    exports = [run("export", tmp_path / name, *more) for name, more in (("all", ()), ("his", ("--user", "bob")))]

    assert sound["unreadable"] == []
    assert damaged.exit_code == 1
    assert f"{sound['records'] - 2:,} records can be read, 2 cannot" in damaged.stdout
    assert "cannot be read: strategies alice" in damaged.stdout
    assert "cannot be read: messages talk of bob 3" in damaged.stdout
    assert [result.exit_code for result in exports] == [1, 1]
    assert all("verify --records" in result.stderr for result in exports)
    assert run("verify", "--records", "--user", "alice").exit_code == 2
    assert run("erase", "alice", "--yes").exit_code == 0


@pytest.mark.parametrize(
    ("kind", "flip"), [("outcomes", "SET record = replace(record, '2', '3')"), ("scores", "SET record = '{'")]
)
def test_an_export_of_one_user_says_how_much_of_them_cannot_be_read(tmp_path, kind, flip):
    table = {"outcomes": "support_strategy_history", "scores": "memory_importance_scores"}[kind]
    with sqlite3.connect(tmp_path / "memory.db") as connection:
        count = connection.execute(f"UPDATE {table} {flip} WHERE user_id = 'bob'").rowcount
    connection.close()
    his, hers = (run("export", tmp_path / name, "--user", name) for name in ("bob", "alice"))

    assert count > 0
    assert (his.exit_code, hers.exit_code) == (1, 0)
    assert f"{count} {kind} of the user cannot be read" in his.stderr
    assert not (tmp_path / "bob").exists()


def test_nothing_private_is_printed_by_mistake(tmp_path):
    told = [run("erase", "alice", "--yes", "--json"), run("backup", tmp_path / "b.db"), run("export", tmp_path / "a")]

    assert all(result.exit_code == 0 for result in told)
    assert not [result.output for result in told if "talk of" in result.output or MARK in result.output]


@pytest.mark.parametrize("journal", [True, False])
def test_an_import_in_an_outage_says_what_waits_and_fails_where_it_would_be_lost(tmp_path, monkeypatch, journal):
    folder = tmp_path / "journals"
    if not journal:
        folder.write_text("a file, where a folder is wanted")
    for name, value in {
        "URL": "",
        "DRIVERS": "memory-fallback,postgres",
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": "1",
        "MEMORY_FALLBACK_JOURNAL_DIRECTORY": str(folder),
    }.items():
        monkeypatch.setenv(f"WHISPER_PERSISTENCE_{name}", value)
    talk = tmp_path / "talk.jsonl"
    talk.write_text('{"conversation_id": "c", "user_id": "u", "author_id": "u", "content": "hi", "message_id": "m"}\n')

    result = run("import", talk)

    assert result.exit_code == int(not journal)
    assert (
        "1 writes wait in the journal" if journal else "1 writes are in the memory of this process"
    ) in result.stderr
