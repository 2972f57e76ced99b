"""What the pages on operating and formats say beyond single snippets, which tests/test_readme.py runs, is so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.operations import export_archive, import_file
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def fill(url: str) -> None:
    with Store.from_settings(url=url) as store:
        for user in ("alice", "bob"):
            samples.fill(store, SUBJECT_CAPABILITIES, user, f"talk of {user}")


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", f"sqlite:///{tmp_path}/memory.db")
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(f"sqlite:///{tmp_path}/memory.db")


def run(code: str, folder: Path, **environment: str) -> str:
    """Run what a page says in a shell of its own, as somebody would who copies it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.pop("programs", ""), os.environ["PATH"]])
    given = {**os.environ, **environment, "PATH": path}
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout


def test_the_way_back_of_a_postgresql_database_works_and_brings_nobody_back(tmp_path, postgres_url, postgres_programs):
    dump, *back = [code for code in blocks("operating.md", "sh") if "DATABASE" in code]
    given = {"DATABASE_URL": postgres_url, "programs": str(postgres_programs)}
    fill(postgres_url)
    run(dump, tmp_path, **given)
    run('whisper-persistence --url "$DATABASE_URL" erase alice --receipt alice.json --yes', tmp_path, **given)
    with Store.from_settings(url=postgres_url) as store:
        store.save_messages(samples.talk(3, "later", "carol"))
        before = samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
    (code,) = back
    said = run(code, tmp_path, **given)

    assert "postgres: " in said
    with Store.from_settings(url=postgres_url) as store:
        assert samples.read(store, SUBJECT_CAPABILITIES, "alice", "talk of alice") == {}
        assert samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob") == before
        assert not store.load_messages([samples.Window("later")])
        (receipt,) = store.save_messages(samples.talk(1, "talk of bob", "bob"))
        assert receipt.revision > 1 << 32


def test_the_page_on_formats_shows_the_fields_of_a_manifest(tmp_path):
    with Store.from_settings() as store:
        export_archive(store, tmp_path / "all", None, lambda *_: None)
    written = json.loads((tmp_path / "all" / "manifest.json").read_text(encoding="utf-8"))
    (shown,) = [json.loads(block) for block in blocks("format.md", "json") if block.startswith("{\n")]

    assert shown.keys() == written.keys()
    assert shown["files"][0].keys() == written["files"][0].keys()
    assert (shown["format"], shown["version"]) == (written["format"], written["version"])


def test_the_lines_of_the_page_on_formats_are_brought_in_as_it_says(tmp_path):
    (lines,) = [block for block in blocks("format.md", "json") if not block.startswith("{\n")]
    (tmp_path / "page.jsonl").write_text(lines, encoding="utf-8")
    with Store.from_settings(url="memory://") as store:
        counts = import_file(store, tmp_path / "page.jsonl")
        said = store.load_messages([samples.Window("channel-7")])[samples.Window("channel-7")]

        assert counts == {"messages": 2, "outcomes": 1, "preferences": 1}
        assert [message.in_reply_to for message in said] == [None, "m-1"]
        assert store.load_strategies(["alice"])["alice"].effective_approaches == ("gentle_check_in",)


def test_the_code_of_the_page_on_formats_brings_messages_in(tmp_path):
    (code,) = blocks("format.md", "python")

    for _ in range(2):
        assert run(f"python - <<'END'\n{code}\nEND", tmp_path) == "2 messages imported\n"
    with Store.from_settings() as store:
        said = store.load_messages([samples.Window("channel-7")])[samples.Window("channel-7")]
        assert [message.content for message in said] == ["Good morning", "Hello"]


def test_every_command_stands_on_the_page():
    page = (DOCS / "operating.md").read_text(encoding="utf-8")

    assert not [
        name
        for name, made in main.commands.items()
        if not made.hidden and f"whisper-persistence {name}" not in page and name != "demo"
    ]


def test_the_page_on_privacy_says_of_every_driver_and_observer_what_it_keeps_where():
    root = DOCS.parent
    projects = [root / "pyproject.toml", *root.glob("contrib/*/pyproject.toml")]
    entries = [tomllib.loads(file.read_text(encoding="utf-8"))["project"].get("entry-points", {}) for file in projects]
    names = {name for groups in entries for group, found in groups.items() if "whisper" in group for name in found}
    page = (DOCS / "privacy.md").read_text(encoding="utf-8").split("## Erasing a user")[0]

    assert {"sqlite", "encryption", "audit"} <= names
    assert [name for name in names - {"opentelemetry"} if f"| `{name}`: " not in page] == [], "telemetry keeps nothing"
