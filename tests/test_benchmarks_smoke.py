"""The benchmarks run, every workload is measured, and everybody does the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

RUN: Final = Path(__file__).parent / "benchmarks" / "run.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that a run of the smallest scale writes."""
    folder = tmp_path_factory.mktemp("benchmarks")
    done = run("--micro", "--json", str(folder / "all.json"), "--folder", str(folder))
    assert done.returncode == 0, done.stderr
    assert "last 20, random user" in done.stdout
    report: dict[str, Any] = json.loads((folder / "all.json").read_text())
    return {workload["name"]: workload for workload in report["workloads"]}


def test_every_figure_is_there(measured: dict[str, Any]) -> None:
    rows = [row for workload in measured.values() for row in workload["rows"]]

    assert len(rows) >= 18
    assert all(row["value"] > 0 for row in rows)
    assert {row["verdict"] for row in rows if row["bar"]} <= {"short", "met bar", "met goal"}


@pytest.mark.parametrize("name", ["append", "append-async", "last", "last-async", "last-users", "tasks", "import"])
def test_floor_and_package_return_the_same_messages(measured: dict[str, Any], name: str) -> None:
    workload = measured[name]

    assert {"floor", "ours"} <= workload["answers"].keys()
    assert len(set(workload["answers"].values())) == 1
    assert workload["answered"]["ours"] > 20 * 15


@pytest.mark.parametrize("name", ["load", "save", "learn"])
def test_floor_and_package_return_the_same_strategies(measured: dict[str, Any], name: str) -> None:
    assert len(set(measured[name]["answers"].values())) == 1
    assert measured[name]["answered"]["ours"] >= 20


def test_unknown_workload_is_refused() -> None:
    refused = run("--only", "nonsense")

    assert refused.returncode == 2
    assert "nonsense" in refused.stderr
    assert "last-users" in refused.stderr


def test_different_answers_end_the_run(tmp_path: Path) -> None:
    refused = run("--micro", "--only", "last", "--challenger", "forgetful floor", "--folder", str(tmp_path))

    assert refused.returncode == 1
    assert "forgetful floor answers otherwise than floor" in refused.stderr
