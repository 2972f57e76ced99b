"""The snippets of the README run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs_and_prints_what_was_sealed(snippet, tmp_path):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("My sister is called Ida.", "gentle")
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir() if not file.name.startswith("plain"))
    assert done.stdout.strip().encode() not in content


def test_the_commands_of_the_readme_seal_what_the_settings_open(tmp_path):
    (block,) = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    commands = block.replace("pip install whisper-persistence-encryption", "true").replace(
        "python ", f"{sys.executable} "
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WHISPER", "XDG", "ENV_"))}
    environment |= {"HOME": str(tmp_path), "WHISPERENGINE_DATABASE_TYPE": "sqlite"}
    program = (
        "from whisper_persistence import Store; s = Store.from_settings(); print(s.check_health()[0].tier); s.close()"
    )
    script = f"{commands}\n{sys.executable} -W error -c '{program}'"
    bash = ["bash", "-euc", script]
    done = subprocess.run(bash, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.returncode, done.stdout) == (0, "encryption\n"), done.stderr
    assert (tmp_path / ".local/share/whisper-persistence/keys.db").exists()
