"""Measure everything: every benchmark one after the other, then one table, one JSON file and one page of charts.

``python tests/benchmarks/all.py [--scale NAME] [--only PART] [--out FOLDER]`` writes ``bench.json`` and ``bench.html``
under the folder, and what each benchmark wrote and said beside them. A benchmark that fails is named in the table; the
others run, and the command fails at the end. ``--join`` measures nothing and joins what lies in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import chart
from report import add_rows, new_table, show
from rich.console import Console
from rich.markup import escape
from rich.table import Table

HERE: Final = Path(__file__).parent
#: Every benchmark by the name of its part: the script and what it is told.
PARTS: Final = {
    "sqlite": ("run.py",),
    "growth": ("growth.py",),
    "postgres": ("on_postgres.py",),
    "redis": ("on_redis.py",),
    "peers-sqlite": ("against_peers.py", "--backend", "sqlite"),
    "peers-postgres": ("against_peers.py", "--backend", "postgres"),
    "peers-redis": ("against_peers.py", "--backend", "redis"),
    "peers-redis-on-disk": ("against_peers.py", "--backend", "redis-on-disk"),
    "search": ("on_search.py",),
    "duckdb": ("on_duckdb.py",),
}

_say = Console(stderr=True).print


def main() -> None:
    """Measure what the command line names, and join it."""
    asked = _parse()
    names = asked.only or list(PARTS)
    asked.out.mkdir(parents=True, exist_ok=True)
    failed = {} if asked.join else {name: reason for name in names if (reason := measure(name, asked.scale, asked.out))}
    parts = [load(name, asked.out, failed.get(name, "")) for name in names]
    scale = "as joined" if asked.join else asked.scale
    about = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "scale": scale,
    }
    (asked.out / "bench.json").write_text(json.dumps({**about, "parts": parts}, indent=1) + "\n")
    show(as_table(f"everything, scale {scale}", parts))
    (asked.out / "bench.html").write_text(chart.page(parts), encoding="utf-8")
    sys.exit(1 if any(part["failed"] for part in parts) else 0)


def measure(name: str, scale: str, out: Path) -> str:
    """Run a benchmark in a process of its own, and return why it failed, or nothing."""
    script, *more = PARTS[name]
    result, log = out / f"{name}.json", out / f"{name}.log"
    result.unlink(missing_ok=True)
    _say(f"measuring {name}: what it says is in {log}")
    command = [sys.executable, str(HERE / script), *more, "--scale", scale, "--json", str(result)]
    with log.open("w", encoding="utf-8") as said:
        done = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT, check=False)  # noqa: S603
    if not done.returncode:
        return ""
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
    return f"{script} ended with {done.returncode}: {''.join(last)}"


def load(name: str, out: Path, failed: str) -> dict[str, Any]:
    """Return what a benchmark wrote, or why there is nothing of it."""
    path = out / f"{name}.json"
    if failed or not path.exists():
        return {"name": name, "failed": failed or f"there is no {path.name}", "workloads": []}
    return {**json.loads(path.read_text(encoding="utf-8")), "name": name, "failed": ""}


def as_table(title: str, parts: list[dict[str, Any]]) -> Table:
    """Return one table of all parts."""
    table = new_table(title)
    for part in parts:
        table.add_section()
        verdict = "[red]failed[/]" if part["failed"] else ""
        left_out = "\n".join(f"left out: {name}" for name in part.get("left_out", ()))
        table.add_row(f"[bold]{part['name']}[/]", *([""] * 4), verdict, escape(part["failed"]), "", left_out)
        for workload in part["workloads"]:
            add_rows(table, workload)
    return table


def _parse() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=("full", "quick", "micro"), default="full", help="how much is measured")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER", help="where to write")
    parser.add_argument("--join", action="store_true", help="measure nothing, join what lies in the folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
