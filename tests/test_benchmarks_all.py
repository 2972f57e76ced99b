"""One command runs every benchmark and joins what they wrote; growth is fitted as it should be."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

BENCHMARKS: Final = Path(__file__).parent / "benchmarks"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "all.py"), *arguments]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def workload(name: str, value: float, verdict: str, **medians: float) -> dict[str, Any]:
    row = {"title": name, "bar": 2, "goal": None, "at_least": False, "unit": "x"}
    contestants = {who: {"median": median, "p99": 2 * median} for who, median in medians.items()}
    rows = [{**row, "value": value, "runs": [value], "verdict": verdict}]
    return {"name": name, "unit": "ns", "rows": rows, "contestants": contestants}


def test_parts_are_joined_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    sqlite = [workload("append", 1.5, "met bar", floor=2_000, ours=3_000), workload("last", 0, "met bar", ours=0)]
    peers = [workload("tasks", 4.0, "short", agents=1_000, ours=4_000, graph=8_000)]
    points = [{"workload": "last", "size": size, "median": 7_000} for size in (1, 10)]
    (tmp_path / "sqlite.json").write_text(json.dumps({"workloads": sqlite}))
    (tmp_path / "growth.json").write_text(json.dumps({"workloads": [], "growth": points}))
    (tmp_path / "peers-redis.json").write_text(json.dumps({"workloads": peers, "left_out": ["index"]}))

    done = run(
        "--join", "--out", str(tmp_path), *(f"--only={n}" for n in ("sqlite", "growth", "duckdb", "peers-redis"))
    )

    assert done.returncode == 1, done.stderr
    for shown in ("1.50 x", "floor: 2 us / 4 us", "there is no duckdb.json", "graph: 2.00 x, 8 us / 16 us", "index"):
        assert shown in done.stdout
    joined = json.loads((tmp_path / "bench.json").read_text())["parts"]
    assert [(part["name"], bool(part["failed"])) for part in joined] == [
        ("sqlite", False),
        ("growth", False),
        ("duckdb", True),
        ("peers-redis", False),
    ]
    assert joined[0]["workloads"] == sqlite
    page = (tmp_path / "bench.html").read_text()
    assert "sqlite: append" in page
    assert '<script src="http' not in page
    assert "<link" not in page
    assert page.count("</script>") == page.count("<script")


def test_exponents_of_power_laws() -> None:
    laws = "[(1, 1, 1), (2, 20, 200), (5, 5 * 10**0.5, 50), (1, 2, 1), (9, 9 * 10**-0.5, 0.9)]"
    code = f"from growth import fitted_exponent as e; print(*(f'{{e((10, 100, 1000), t):.3f}}' for t in {laws}))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["0.000", "1.000", "0.500", "0.000", "-0.500"], done.stderr


@pytest.mark.long
def test_one_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    chosen = ("--scale", "micro", "--only", "peers-redis", "--only", "growth", "--out", str(tmp_path))
    done = run(*chosen, WHISPER_PERSISTENCE_TEST_REDIS_PROGRAM="/nowhere")

    assert done.returncode == 1
    failed, growth = json.loads((tmp_path / "bench.json").read_text())["parts"]
    assert "/nowhere" in failed["failed"]
    assert "against_peers.py" in failed["failed"]
    bars = {item["name"]: item["rows"][0]["bar"] for item in growth["workloads"]}
    assert bars["last 20 by users"] == bars["load a strategy by users"] == bars["append a turn by turns"] == 0.1
    assert bars["score a memory by memories"] == 0.15
    assert all(len(item["contestants"]) == 3 for item in growth["workloads"])


def test_the_command_of_the_page_on_performance_runs_what_these_tests_are_about() -> None:
    page = (BENCHMARKS.parents[1] / "docs" / "performance.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```text\n(.*?)\n```$", page, re.MULTILINE)
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(BENCHMARKS.parents[1] / "tox.ini", encoding="utf-8")

    assert command == "tox run -e bench"
    assert tox["testenv:bench"]["commands"] == "python tests/benchmarks/all.py {posargs}"
