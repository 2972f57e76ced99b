"""The page for bot authors runs as it stands, every block of it, and its bots learn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "companion.md"
TEXT = PAGE.read_text(encoding="utf-8")
LEARNING, LIVING, HOLDING_A_DICT, SUBCLASSING = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
(SAID,) = re.findall(r"^```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def run(block: str, folder: Path) -> list[str]:
    (folder / "bot.py").write_text(block, encoding="utf-8")
    ours = ("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT", "XDG_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = {**clean, "HOME": str(folder), "WHISPERENGINE_DATABASE_TYPE": "sqlite"}
    command = [sys.executable, "-W", "error", "bot.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_bot_of_the_page_learns_what_helps_and_remembers_it(tmp_path):
    first, second = run(LEARNING, tmp_path), run(LEARNING, tmp_path)

    assert len(LEARNING.splitlines()) <= 30
    assert first[0] == "gentle_check_in  0.0 durable"
    assert {line.split()[0] for line in first[4:8]} == {"skill_building"}
    assert {line.split()[0] for line in second[:8]} == {"skill_building"}
    assert first[-3].startswith("next: skill_building, casual, within_day (confidence ")
    assert "skill_building helped" in first[-2]
    assert "avoids gentle_check_in" in first[-2]
    assert first[-1] == (
        "learned: {'effective_approaches': ['skill_building'], 'approaches_to_avoid': ['gentle_check_in'], "
        "'communication_style': 'casual', 'support_history_count': 8}"
    )


def test_the_bot_with_a_life_knows_and_forgets_whom_it_met(tmp_path):
    assert run(LIVING, tmp_path) == SAID.splitlines()


def test_the_bot_that_holds_a_dict_and_the_subclass_remember(tmp_path):
    assert run(HOLDING_A_DICT, tmp_path) == ["['humour']"]
    assert run(SUBCLASSING, tmp_path) == ["{'last_reply_length': 9}"]
