"""The page about conversations runs as it stands and prints what it says, and its policies can be read."""

from __future__ import annotations

import os
import re
import runpy
from datetime import timedelta
from pathlib import Path

import pytest

from whisper_persistence.settings import load_settings

TEXT = (Path(__file__).parents[2] / "docs" / "conversations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_a_program_of_the_page_prints_what_the_page_says(tmp_path, monkeypatch, capsys, block):
    source, expected = BLOCKS[block]
    (tmp_path / "bot.py").write_text(source, encoding="utf-8")
    ours = ("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT", "XDG_")
    for name in [name for name in os.environ if name.startswith(ours)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHISPERENGINE_DATABASE_TYPE", "sqlite")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("bot.py", run_name="__main__")

    assert capsys.readouterr().out == expected


def test_every_program_of_the_page_is_run():
    assert len(BLOCKS) == TEXT.count("```python") == 3


def test_the_policies_of_the_page_can_be_read(tmp_path):
    (table,) = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    path = tmp_path / "bot.toml"
    path.write_text(table, encoding="utf-8")
    policies = load_settings(config=str(path)).policies

    assert policies.held_users == ("mary",)
    assert {(rule.kind, rule.max_age, rule.user_ids) for rule in policies.rules} == {
        ("messages", timedelta(days=365), ()),
        ("outcomes", timedelta(days=730), ()),
        ("messages", timedelta(days=30), ("bob",)),
    }
    assert (policies.recent_turns, policies.recent_for) == (40, timedelta(minutes=10))
