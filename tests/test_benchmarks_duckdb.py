"""The bars of analytics: held at full size where there is time, and the same comparison at a small size always."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

RUN: Final = Path(__file__).parent / "benchmarks" / "on_duckdb.py"


def measure(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(RUN), "--json", str(folder / "all.json"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads((folder / "all.json").read_text())
    return [row for workload in report["workloads"] for row in workload["rows"]]


@pytest.mark.long
def test_sqlite_and_the_replica_answer_the_same_and_everything_is_measured(tmp_path):
    rows = measure(tmp_path, "--scale", "micro")

    assert len(rows) == 4
    assert all(row["value"] > 0 for row in rows)
    assert rows[-1]["verdict"] == "met bar"


@pytest.mark.long
def test_every_bar_is_met(tmp_path):
    rows = measure(tmp_path)

    assert [row["title"] for row in rows if row["verdict"] == "short"] == []
