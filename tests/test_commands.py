"""Every command, walked through by hand on a real terminal, as JSON for machines, and as a manual page."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
import msgspec
import pexpect
import pytest
from click.testing import CliRunner

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.operations import export_archive
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

COMMANDS = {name: made for name, made in main.commands.items() if not made.hidden}
SETTINGS = """
[whisper-persistence]
drivers = ["memory-fallback", "sqlite"]
options.memory-fallback.journal_directory = "journals"
options.sqlite = { path = "memory.db", search = true, tamper_evidence = true, tamper_key = "a key of the operator" }
retention.messages = { max_per_thing = 2 }
"""
LINE = '{"conversation_id": "c", "user_id": "carol", "author_id": "carol", "content": "The lighthouse keeper", '


@attrs.frozen
class Step:
    """A command, what it says, the bar that it shows where its work is long, and whether it asks before it does it."""

    typed: str
    says: str
    bar: str = ""
    asks: str = ""

    @property
    def name(self) -> str:
        return self.typed.split()[0]


#: What an operator does, in an order in which each has something to do.
WALK = (
    Step("migrate --dry-run", "to do: 0001"),
    Step("migrate", "done: 0001", "upgrading"),
    Step("import people.zip", "archive and store hold the same", "importing messages"),
    Step("import talk.jsonl", "2 messages", "talk.jsonl"),
    Step("drivers", "chosen"),
    Step("doctor", "all is well"),
    Step("reindex", "indexed anew: sqlite", "indexing"),
    Step("show carol", "The lighthouse keeper"),
    Step("search lighthouse --user carol", "2 found"),
    Step("sources", "untrusted", "looking for messages"),
    Step("rollback --trust untrusted", "lost their words", "looking for messages", "messages?"),
    Step("report --minimum-group 1", "about everybody", "reading"),
    Step("export carol.zip --user carol", "written to carol.zip", "exporting messages"),
    Step("backup backup.db", "verified", "copying and verifying"),
    Step("copy --from sqlite:///memory.db --to sqlite:///moved.db", "hold the same", "copying messages"),
    Step("verify", "0 not as written", "checking the chains"),
    Step("expire --dry-run", "would go", "counting"),
    Step("expire", "gone", "removing", "Remove 2 records for good?"),
    Step(
        "erase alice", "sqlite was read again: nothing is left", "looking for messages", "removed permanently. Erase?"
    ),
    Step("restore backup.db --overwrite", "erased again", "verifying and restoring", "Restore?"),
    Step("verify --switch-off", "removed: 3 chains", "checking the chains", "permanently. Continue?"),
    Step("new-driver mask", "next: pip install"),
    Step("completion bash", "_WHISPER_PERSISTENCE_COMPLETE=bash_complete"),
    Step("demo", "everything was remembered"),
)
#: A shell with one command, loaded once: it runs each in a process of its own and says how that ended.
SHELL = """
import importlib, os, pkgutil, shlex, sys
import alembic.command, rich.live, rich.progress, rich.table, whisper_persistence.cli
import whisper_persistence_drivers.memory_fallback, whisper_persistence_drivers.sqlite
for module in pkgutil.walk_packages(whisper_persistence.cli.__path__, "whisper_persistence.cli."):
    importlib.import_module(module.name)
print("ready", flush=True)
while line := sys.stdin.readline():
    if not (child := os.fork()):
        try:
            whisper_persistence.cli.main(shlex.split(line), "whisper-persistence")
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)
    print(f"[exit {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}]", flush=True)
"""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two people."""
    path = tmp_path_factory.mktemp("archives") / "people.zip"
    with Store.from_settings(url="memory://") as store:
        for user in ("alice", "bob"):
            samples.fill(store, SUBJECT_CAPABILITIES, user, f"talk of {user}")
        export_archive(store, path, None, lambda *_: None)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path) -> Path:
    """Where an operator works: settings that are found, something to import, and an archive; no memory yet."""
    monkeypatch.setenv("WHISPER_PERSISTENCE_CONFIG", "settings.toml")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "talk.jsonl").write_text("".join(f'{LINE}"message_id": "{n}"}}\n' for n in "12"), encoding="utf-8")
    shutil.copy(archive, tmp_path)
    return tmp_path


@pytest.fixture
def terminal(folder: Path) -> Iterator[pexpect.spawn]:
    """A real terminal with a shell in it."""
    command = ["-c", SHELL]
    with pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=120, dimensions=(50, 200)) as process:
        process.expect_exact("ready")
        yield process


def typed(terminal: pexpect.spawn, command: str, question: str = "", answer: str = "") -> tuple[str, int]:
    """Type a command, and an answer if there is a question; return what is shown, and the exit code."""
    terminal.sendline(command)
    shown = ""
    if question:
        terminal.expect_exact(f"{question} [y/N]:")
        shown = terminal.before or ""
        terminal.sendline(answer)
    terminal.expect(r"\[exit (-?\d+)\]")
    return shown + (terminal.before or ""), int(terminal.match.group(1))


def test_every_command_on_a_real_terminal_does_its_work_with_a_bar_and_asks_before_it_destroys(terminal, folder):
    for step in WALK:
        if step.asks:
            shown, code = typed(terminal, step.typed, step.asks, "n")
            assert (code, "Aborted!" in shown, step.says in shown) == (1, True, False), shown
        shown, code = typed(terminal, step.typed, step.asks, "y")

        assert (code, step.says in shown) == (0, True), f"{step.typed}: {shown}"
        assert step.bar in shown, f"{step.typed}: {shown}"
    assert {step.name for step in WALK} == set(COMMANDS)
    assert "killed (SIGKILL)" in shown, "the demo comes last"
    assert len(re.findall(r"remembered\x1b\[0m ", shown)) == 4
    assert list((folder / "temporary").iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_every_command_prints_json_alone_for_machines_and_asks_nothing_when_told_yes():
    for step in WALK[:-1]:  # the demo's own tests, in tests/test_cli.py, see to the demo
        ran = CliRunner().invoke(main, [*shlex.split(step.typed), "--json", *(["--yes"] if step.asks else [])])

        assert ran.exit_code == 0, f"{step.typed}: {ran.output}"
        assert msgspec.json.decode(ran.stdout)


def paragraphs(command: click.Command | None) -> dict[str, str]:
    """Return the sections of a command's help, by their titles; what it does is called NAME."""
    typed = [command.name or "", "--help"] if command else ["--help"]
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(main, typed).output
    parts = re.split(r"^(\S[\w ]*):(?: |\n)", shown, flags=re.MULTILINE)[1:]
    found = {title: text.strip("\n") for title, text in zip(parts[::2], parts[1::2], strict=True)}
    found["Usage"], _, found["NAME"] = found["Usage"].partition("\n\n")
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_manual_page(name):
    command, page = COMMANDS[name], paragraphs(COMMANDS[name])
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    examples = [line.strip() for line in page["Examples"].splitlines()]

    assert page["NAME"].strip().splitlines()[0].strip()[0].isupper()
    assert re.findall(r"^  ([A-Z]+)", page.get("Arguments", ""), re.MULTILINE) == [
        (argument.metavar or (argument.name or "").upper()).strip(".") for argument in arguments
    ]
    assert all(option.help and option.opts[0] in page["Options"] for option in options)
    assert re.findall(r"^  (\d)  \S", page["Exit codes"], re.MULTILINE) == ["0", "1", "2"]
    assert name in ("completion", "new-driver") or "Environment" in page
    assert all(line.startswith("whisper-persistence ") and f" {name}" in line for line in examples)
    for example in examples:
        given = shlex.split(example.partition(f" {name}")[2].partition(" >")[0].partition(" &&")[0])
        command.make_parser(click.Context(command)).parse_args(given)


def test_every_name_in_the_environment_that_is_told_is_heeded(monkeypatch, folder):
    monkeypatch.setenv("WHISPER_PERSISTENCE_NAMESPACE", "Elena")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_PATH", "elsewhere.db")
    CliRunner().invoke(main, ["import", "talk.jsonl"])
    assert (folder / "elsewhere.db").exists()
    found = CliRunner().invoke(main, ["--namespace", "elena", "show", "carol", "--json"])
    assert len(msgspec.json.decode(found.stdout)["messages"]) == 2
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "memory-fallback")
    assert msgspec.json.decode(CliRunner().invoke(main, ["drivers", "--json"]).stdout)["drivers"] == ["memory-fallback"]
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", f"sqlite:///{folder}/third.db")
    monkeypatch.delenv("WHISPER_PERSISTENCE_SQLITE_PATH")
    monkeypatch.delenv("WHISPER_PERSISTENCE_DRIVERS")
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    assert (folder / "third.db").exists()


def test_bash_completes_what_is_typed():
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["--noprofile", "--norc", "-i"]
    with pexpect.spawn("bash", command, encoding="utf-8", timeout=120, env=environment) as shell:
        shell.sendline(
            "bind 'set enable-bracketed-paste off'; source <(whisper-persistence completion bash); echo re'ady'"
        )
        shell.expect_exact("ready")
        shell.send("whisper-persistence era\t")
        shell.expect_exact("erase ")
        shell.send("--rec\t")
        shell.expect_exact("--receipt ")


@pytest.mark.parametrize(("shell", "current"), [("zsh", "1"), ("fish", "era")])
def test_other_shells_are_told_what_completes(shell, current, monkeypatch, capsys):
    script = CliRunner().invoke(main, ["completion", shell]).output
    monkeypatch.setenv("_WHISPER_PERSISTENCE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "whisper-persistence era")
    monkeypatch.setenv("COMP_CWORD", current)
    with pytest.raises(SystemExit):
        main(prog_name="whisper-persistence")

    assert f"_WHISPER_PERSISTENCE_COMPLETE={shell}_complete" in script
    assert re.findall(r"\b(\w+)\b", capsys.readouterr().out)[:2] == ["plain", "erase"]
