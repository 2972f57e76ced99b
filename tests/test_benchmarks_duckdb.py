"""The bars of analytics: held at full size where there is time, and the same comparison at a small size always."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

RUN: Final = Path(__file__).parent / "benchmarks" / "on_duckdb.py"


def measure(folder: Path, *sizes: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(RUN), "--json", str(folder / "all.json"), *sizes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = json.loads((folder / "all.json").read_text())
    return lines


@pytest.mark.long
def test_sqlite_and_the_replica_answer_the_same_and_everything_is_measured(tmp_path):
    sizes = (
        "--scores",
        "2000",
        "--users",
        "40",
        "--new",
        "400",
        "--large",
        "100000",
        "--rounds",
        "1",
        "--appends",
        "50",
    )
    lines = measure(tmp_path, *sizes)

    assert len(lines) == 4
    assert all(line["measured"] > 0 for line in lines)
    assert lines[-1]["met"]


@pytest.mark.long
def test_every_bar_is_met(tmp_path):
    lines = measure(tmp_path)

    assert [line["title"] for line in lines if not line["met"]] == []
