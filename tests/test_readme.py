"""What the pages say is tried: snippets run, commands run, the two setup commands are those that the checks use."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.settings import load_settings

from .prepared_python import PreparedPython

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLUGINS = sorted((ROOT / "contrib").glob("*/README.md"))
#: Pages whose snippets belong together, and what runs them.
OWN_TESTS = {
    "companion.md": "tests/companion/test_companion_page.py",
    "search.md": "tests/test_search_docs.py",
    "writing-a-driver.md": "tests/test_writing_a_driver.py",
}
#: What runs the blocks of other languages, and those of other pages.
ELSEWHERE = {
    ("companion.md", "text"): "tests/companion/test_companion_page.py",
    ("conversations.md", "text"): "tests/companion/test_conversations_page.py",
    ("format.md", "json"): "tests/test_operating_pages.py",
    ("performance.md", "text"): "tests/test_benchmarks_all.py",
    ("privacy.md", "sql"): "tests/faults/fault_tools/documented_postgres.py",
    ("scaling.md", "sql"): "tests/test_scaling.py",
    ("scaling.md", "text"): "tests/test_scaling.py",
    ("writing-a-driver.md", "text"): "tests/test_new_driver.py",
    ("encryption", "python"): "contrib/whisper-persistence-encryption/tests/test_readme.py",
    ("encryption", "sh"): "contrib/whisper-persistence-encryption/tests/test_readme.py",
    ("opentelemetry", "python"): "contrib/whisper-persistence-opentelemetry/tests/test_telemetry.py",
    ("opentelemetry", "sh"): "contrib/whisper-persistence-opentelemetry/tests/test_telemetry.py",
}
LINE = (
    '{"conversation_id": "c", "user_id": "alice", "author_id": "alice", "content": "Good morning", "message_id": "1"}\n'
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def every(language: str) -> pytest.MarkDecorator:
    found = [(page, block) for page in PAGES for block in blocks(page, language)]
    return pytest.mark.parametrize(
        ("page", "block"), found, ids=[f"{page.name}-{n}" for n, (page, _) in enumerate(found)]
    )


def setup_command(marker: str) -> str:
    (command,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"))
    return command


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user without settings and without data, for whom this Python and its commands come first."""
    ours = ("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT", "XDG_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    return {**clean, "HOME": str(tmp_path), "PATH": path, "WHISPERENGINE_DATABASE_TYPE": "sqlite"}


@pytest.fixture(scope="module")
def prepared() -> Iterator[PreparedPython]:
    python = PreparedPython()
    yield python
    python.close()


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stderr
    return done.stdout


def commands_of(block: str) -> list[list[str]] | None:
    """Return the commands of a block that are all ours and need no shell but for its exports, else nothing."""
    lines = [line for line in block.splitlines() if line and not line.startswith(("#", "export "))]
    plain = all(line.startswith("whisper-persistence ") and not set(line) & set("$|<>&;`") for line in lines)
    exported = "$(" not in block
    return [shlex.split(line) for line in lines] if plain and exported else None


@every("python")
def test_a_snippet_runs_as_it_stands(page, block, tmp_path, environment, prepared):
    if page.name in OWN_TESTS:
        pytest.skip(f"{OWN_TESTS[page.name]} runs it")
    (tmp_path / "snippet.py").write_text(block, encoding="utf-8")

    for _ in range(2 if page.name == "README.md" else 1):
        code, said, failed = prepared.run(["snippet.py"], tmp_path, environment)

        assert (code, failed) == (0, "")
        assert said.strip()


def test_every_snippet_of_every_page_is_one_that_some_test_runs():
    here = {(page.name, language) for page in PAGES for language in fences(page) - {"python", "sh", "toml"}}
    plugins = [(page.parent.name.removeprefix("whisper-persistence-"), page) for page in PLUGINS]

    assert here | {(name, language) for name, page in plugins for language in fences(page)} == ELSEWHERE.keys()
    for (page, language), test in ELSEWHERE.items():
        source = (ROOT / test).read_text(encoding="utf-8")
        assert language in source, test
        assert page in source, test


def fences(page: Path) -> set[str]:
    """Return the languages of a page's blocks, none of which may be indented: nobody would find it to run it."""
    opened = re.findall(r"^( *)```(\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert not [language for indent, language in opened if indent], page
    return {language for _, language in opened}


def test_the_ten_lines_say_what_they_should(tmp_path, environment):
    (tmp_path / "snippet.py").write_text(blocks(ROOT / "README.md", "python")[0], encoding="utf-8")

    assert run([sys.executable, "snippet.py"], tmp_path, environment) == "Exam on Monday! ('gentle_check_in',)\n"
    assert (tmp_path / ".local" / "share" / "whisper-persistence" / "memory.db").exists()


@every("sh")
def test_commands_run_as_they_stand(page, block, tmp_path, environment, request):
    if "venv" in block:
        assert block.strip() in {setup_command("run"), setup_command("test")}
        return
    if "pg_restore" in block and "pg_dump" not in block:
        pytest.skip("tests/test_operating_pages.py runs it, with a dump to restore")
    if "$DATABASE_URL" in block:
        environment["DATABASE_URL"] = url = request.getfixturevalue("postgres_url")
        environment["PATH"] = f"{request.getfixturevalue('postgres_programs')}{os.pathsep}{environment['PATH']}"
        Store.from_settings(url=url).close()
    (tmp_path / "talk.jsonl").write_text(LINE, encoding="utf-8")
    (tmp_path / "memory.db").touch()

    commands = commands_of(block)
    if commands is None:
        run(["bash", "-euo", "pipefail", "-c", block], tmp_path, environment)
    environment.update(re.findall(r"^export (\w+)=(.*)$", block, re.MULTILINE))
    for command in commands or ():
        code, _, failed = request.getfixturevalue("prepared").run(command, tmp_path, environment)

        assert code == 0, (command, failed)


@every("toml")
def test_settings_are_understood(page, block, tmp_path, monkeypatch):
    if "whisper-persistence" not in tomllib.loads(block):
        pytest.skip("not settings of ours")
    for name in [name for name in os.environ if name.startswith("WHISPER_PERSISTENCE")]:
        monkeypatch.delenv(name)
    (tmp_path / "settings.toml").write_text(block, encoding="utf-8")

    settings = load_settings(config=str(tmp_path / "settings.toml"))

    said = tomllib.loads(block)["whisper-persistence"]
    assert list(settings.drivers) == said.get("drivers", list(settings.drivers))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not lost


def test_the_checks_use_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "readme_command run" in script
    assert "readme_command test" in script
    assert setup_command("run").endswith("whisper-persistence demo")
    assert shlex.split(setup_command("test"))[-4:] == [".venv/bin/tox", "run", "-e", "py"]


def test_every_environment_name_that_is_shown_is_one_that_is_read():
    shown = set(re.findall(r"WHISPER_PERSISTENCE_[A-Z_]+", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    read = {"DRIVERS", "OBSERVERS", "URL", "NAMESPACE", "CONFIG", "PRESET", "WORKERS", "SQLITE_PATH", ""}
    read |= {"POSTGRES_PASSWORD", "REDIS_HYBRID_PASSWORD", "SQLITE_TAMPER_EVIDENCE", "SQLITE_TAMPER_KEY", "SHRINK"}

    assert shown <= {f"WHISPER_PERSISTENCE_{name}" for name in read}


@pytest.mark.network
def test_the_first_command_works_in_a_fresh_clone(tmp_path, environment):
    clone = tmp_path / "clone"
    listed = run(["git", "ls-files", "-co", "--exclude-standard"], ROOT, dict(os.environ)).splitlines()
    for name in listed:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)

    assert "everything was remembered" in run(["bash", "-euc", setup_command("run")], clone, environment)
