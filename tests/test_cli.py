"""The command line, as people use it: exit codes, one line for an error, JSON for machines, and the demo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from whisper_persistence import Message, Store
from whisper_persistence.cli import main

HIDDEN = "s3cr3t-pa55"
LINES = (
    {"content": "Hello \x1b[31m[bold]there", "message_id": "1", "author_name": "Alice"},
    {"content": "Hello!", "message_id": "2", "author_id": "bot", "in_reply_to": "1"},
    {"kind": "strategies", "strategy_id": "alice_strategy", "effective_approaches": ["gentle_check_in"]},
    {"kind": "patterns", "pattern_id": "climbing", "frequency": 3},
    {"kind": "scores", "memory_id": "competition", "overall_score": 0.9},
    {"kind": "preferences", "values": {"advice": "only when asked"}},
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", f"sqlite:///{tmp_path}/memory.db")


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    file = tmp_path / "talk.jsonl"
    base = {"conversation_id": "c", "user_id": "alice", "author_id": "alice"}
    rows = ({**base, **row} if "kind" not in row else {"user_id": "alice", **row} for row in LINES)
    file.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return file


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_json(*arguments: str | Path) -> Any:
    result = run(*arguments)

    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def spawn(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whisper_persistence", *arguments]
    environment = {**os.environ, **environ}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603


def test_version_and_help() -> None:
    assert run("--version").output == "whisper-persistence, version 0.1.0\n"
    listed = run("--help").output
    assert all(name in listed for name in ("demo", "drivers", "import", "show", "--config", "--url", "--namespace"))
    assert "demo-talk" not in listed


@pytest.mark.parametrize(
    "arguments",
    [("nothing",), ("import",), ("import", "absent.jsonl"), ("show",), ("show", "u", "--limit", "0"), ("--urll", "x")],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--url", f"mysql://bot:{HIDDEN}@db", "show", "u"),
            "the url has the scheme 'mysql', which is not known: use sqlite:///",
        ),
        (("--config", "absent.toml", "drivers"), "config file absent.toml"),
        (("--namespace", "x" * 600, "show", "u"), "namespace has 600 bytes"),
        (("show", ""), "user_ids has item 0, which must not be empty"),
    ],
)
def test_an_error_of_ours_is_one_line_and_exit_code_1(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1
    assert (result.stdout, HIDDEN in result.stderr) == ("", False)


def test_an_error_leaves_no_traceback_in_a_real_process() -> None:
    ran = spawn("drivers", WHISPER_PERSISTENCE_URL=f"postgres:{HIDDEN}")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("Error: the url has no scheme")
    assert HIDDEN not in ran.stderr


def test_drivers_says_what_is_installed_and_what_is_chosen_and_why() -> None:
    said = run_json("drivers", "--json")
    (sqlite,) = [row for row in said["installed"] if row["name"] == "sqlite"]

    assert (sqlite["distribution"], sqlite["version"]) == ("whisper-persistence", "0.1.0")
    assert (said["drivers"], said["reason"]) == (["sqlite"], "WHISPER_PERSISTENCE_URL is set")
    assert "because WHISPER_PERSISTENCE_URL is set" in run("drivers").output


def test_drivers_shows_a_chosen_driver_that_is_missing(tmp_path: Path) -> None:
    config = tmp_path / "bot.toml"
    config.write_text(
        "[whisper-persistence]\ndrivers = ['absent', 'sqlite']\nobservers = ['watcher']\n"
        "[whisper-persistence.options.absent]\nsubjects = ['conversations']\n"
    )
    said = run_json("--config", config, "drivers", "--json")

    assert said["missing"] == ["absent", "watcher"]
    assert said["subjects"] == {"absent": ["conversations"]}
    assert "not installed" in run("--config", config, "drivers").output


def test_what_is_imported_is_shown(talk: Path) -> None:
    assert run_json("import", talk, talk, "--json") == {
        "messages": 4,
        "strategies": 2,
        "patterns": 2,
        "scores": 2,
        "preferences": 2,
    }
    shown = run_json("show", "alice", "--json")

    assert [message["content"] for message in shown["messages"]] == ["Hello \x1b[31m[bold]there", "Hello!"]
    assert shown["strategy"]["effective_approaches"] == ["gentle_check_in"]
    assert shown["statistics"]["total_memories_scored"] == 1
    assert shown["preferences"]["values"] == {"advice": "only when asked"}
    assert [pattern["pattern_id"] for pattern in shown["patterns"]] == ["climbing"]


def test_a_screen_shows_text_as_it_is_and_is_not_steered_by_it(talk: Path) -> None:
    counted = run("import", talk)
    shown = run("show", "alice").output

    assert "2 messages" in counted.output
    assert "Hello \N{REPLACEMENT CHARACTER}[31m[bold]there" in shown
    assert all(word in shown for word in ("gentle_check_in", "climbing", "competition", "only when asked", "Alice"))
    assert "nothing is kept about bob" in run("show", "bob").output


def test_namespaces_do_not_mix(talk: Path) -> None:
    run("--namespace", "elena", "import", talk)

    assert run_json("--namespace", "Elena", "show", "alice", "--json")["strategy"]
    assert run_json("show", "alice", "--json")["strategy"] is None


def test_a_bad_line_is_exit_code_1_and_named(talk: Path) -> None:
    talk.write_bytes(talk.read_bytes() + b'\n{"content": "x"}')
    result = run("import", talk)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: talk.jsonl:7: Message cannot be read")


def test_the_demo_keeps_its_file_and_never_mixes_its_runs(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "demo.db"
    runs = [spawn("demo", "--path", str(path), *options) for options in ([], ["--json"])]

    assert [ran.returncode for ran in runs] == [0, 0]
    assert msgspec.json.decode(runs[1].stdout) == {"remembered": True}
    shown = run_json("--url", f"sqlite:///{path}", "--namespace", "demo", "show", "alice", "--json")
    assert shown["strategy"]["interventions"] == 4
    assert len(shown["messages"]) == 10


def test_the_demo_fails_where_nothing_is_remembered() -> None:
    ran = spawn("--url", "memory://", "demo")

    assert ran.returncode == 1
    assert "something was forgotten" in ran.stdout
    assert "remembered " not in ran.stdout.replace("everything was remembered", "")


def test_the_demo_says_where_it_cannot_write() -> None:
    ran = spawn("demo", "--path", "/proc/absent/demo.db")

    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("Error: driver 'sqlite' cannot write /proc/absent/demo.db")
    assert "Traceback" not in ran.stderr
    assert "killed" not in ran.stdout


def test_the_demo_takes_one_place_only() -> None:
    assert run("--url", "memory://", "demo", "--path", "x.db").exit_code == 2


def test_the_command_line_imports_what_a_command_needs_when_it_runs() -> None:
    heavy = "{'typed_settings', 'rich', 'sqlalchemy', 'platformdirs', 'whisper_persistence.settings', "
    heavy += "'whisper_persistence.records.questions'}"
    code = f"import sys, whisper_persistence.cli; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603

    assert ran.stdout == "set()\n"


def test_what_an_encoding_lacks_is_printed_as_escapes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    with Store.from_settings(url=url) as store:
        store.save_messages([Message("talk", "alice", "alice", "Grüße, 世界")])
    command = [sys.executable, "-m", "whisper_persistence", "--url", url, "show", "alice"]
    shown = subprocess.run(  # noqa: S603
        command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    ).stdout.decode("latin-1")

    assert "Grüße, \\u4e16\\u754c" in shown
