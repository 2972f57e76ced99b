"""The commands ``search`` and ``reindex``, as people use them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.testing import samples


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a store that searches, in which two users talked."""
    file = tmp_path / "whisper.toml"
    path = tmp_path / "memory.db"
    options = f'[whisper-persistence.options.sqlite]\npath = "{path}"\nsearch = true\n'
    file.write_text(f'[whisper-persistence]\ndrivers = ["sqlite"]\n{options}', encoding="utf-8")
    with Store.from_settings(config=str(file)) as store:
        store.save_messages([samples.message("c", f"turn {n}", message_id=f"m{n}") for n in range(3)])
        store.save_messages([samples.message("c", "The \x1b[31m Lighthouse[bold] keepers", message_id="hit")])
        store.save_messages([samples.message("d", "a lighthouse too", "bob", message_id="bobs")])
    return file


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(argument) for argument in arguments])


def run_json(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def test_hits_of_one_user_are_shown_with_what_was_said_around_them(config):
    result = run("--config", config, "search", "lighthouse", "keeper", "--user", "alice")

    assert result.exit_code == 0
    assert "Lighthouse[bold] keepers" in result.stdout
    assert "turn 2" in result.stdout
    assert "lighthouse too" not in result.stdout
    assert "\x1b[31m" not in result.stdout
    assert "answered: text" in result.stdout


def test_json_has_hits_parts_and_context(config):
    found = run_json("--config", config, "search", "lighthouse", "--user", "alice", "--context", "1", "--limit", "1")

    assert [hit["message"]["message_id"] for hit in found["hits"]] == ["hit"]
    assert [turn["message_id"] for turn in found["hits"][0]["context"]] == ["m2", "hit"]
    assert {"text", "recency"} <= found["hits"][0]["parts"].keys()


def test_nothing_found_is_no_error(config):
    result = run("--config", config, "search", "violoncello")

    assert result.exit_code == 0
    assert result.stdout.startswith("0 found; answered: text")


@pytest.mark.parametrize("blank", ["", "  "])
def test_who_asks_for_no_word_is_told_so(config, blank):
    result = run("--config", config, "search", blank)

    assert result.exit_code == 2
    assert "name at least one word" in result.stderr


def test_filters_of_time_are_in_utc(config):
    assert run_json("--config", config, "search", "lighthouse", "--until", "2001-01-01")["hits"] == []
    assert len(run_json("--config", config, "search", "lighthouse", "--since", "2001-01-01")["hits"]) >= 2


def test_without_search_both_commands_say_what_to_do(tmp_path):
    url = f"sqlite:///{tmp_path}/other.db"
    for arguments in (("search", "word"), ("reindex",)):
        result = run("--url", url, *arguments)

        assert result.exit_code == 1
        assert "search" in result.stderr


def test_reindex_fills_an_index_that_lost_everything(config, tmp_path):
    with closing(sqlite3.connect(tmp_path / "memory.db")) as connection, connection:
        connection.execute("DELETE FROM message_terms")
        connection.execute("DELETE FROM outbox")
    before = run_json("--config", config, "search", "lighthouse")["hits"]
    result = run("--config", config, "reindex")
    after = run_json("--config", config, "search", "lighthouse")["hits"]

    assert before == []
    assert (result.exit_code, result.output.strip()) == (0, "indexed anew: sqlite")
    assert {hit["message"]["message_id"] for hit in after} >= {"hit", "bobs"}
