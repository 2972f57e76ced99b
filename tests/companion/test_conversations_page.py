"""The page about conversations runs as it stands and prints what it says, and its policies can be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from whisper_persistence.settings import load_settings

TEXT = (Path(__file__).parents[2] / "docs" / "conversations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_a_program_of_the_page_prints_what_the_page_says(tmp_path, block):
    source, expected = BLOCKS[block]
    (tmp_path / "bot.py").write_text(source, encoding="utf-8")
    ours = ("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT", "XDG_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = {**clean, "HOME": str(tmp_path), "WHISPERENGINE_DATABASE_TYPE": "sqlite"}
    command = [sys.executable, "-W", "error", "bot.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected


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
