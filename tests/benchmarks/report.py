"""What was measured, as a table and as JSON."""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import attrs
from judging import Bar, Done, Workload
from rich.console import Console
from rich.table import Table
from timing import Spent


@attrs.define
class Measured:
    """A workload and what was measured of it.

    Attributes:
        workload: what was measured.
        runs: what each contestant spent, by name, run by run.
        answers: what each contestant answered after the last run.
    """

    workload: Workload | Done
    runs: list[dict[str, Spent]] = attrs.field(factory=list[dict[str, Spent]])
    answers: dict[str, list[Any]] = attrs.field(factory=dict[str, list[Any]])

    def values(self, bar: Bar) -> list[float]:
        """Return the bar's number in each run."""
        return [bar.measure(list(run.values())) for run in self.runs]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per bar, as plain data."""
        return [self._row(bar) for bar in self.workload.bars]

    def contestants(self) -> dict[str, dict[str, float]]:
        """Return the median and p99 of each contestant: the median of the runs."""
        return {
            name: {
                "median": statistics.median(run[name].median() for run in self.runs),
                "p99": statistics.median(run[name].p99() for run in self.runs),
            }
            for name in self.runs[0]
        }

    def _row(self, bar: Bar) -> dict[str, Any]:
        values = self.values(bar)
        value = statistics.median(values)
        return {
            "title": ": ".join(part for part in (self.workload.title, bar.title) if part),
            "bar": bar.limit,
            "goal": bar.goal,
            "at_least": bar.at_least,
            "unit": bar.unit,
            "runs": values,
            "value": value,
            "verdict": bar.verdict(value),
        }


def as_json(measured: Measured) -> dict[str, Any]:
    """Return everything about a workload as plain data; times in nanoseconds."""
    return {
        "name": measured.workload.name,
        "unit": measured.workload.unit,
        "answers": {name: _digest(answer) for name, answer in measured.answers.items()},
        "answered": {name: sum(map(len, answer)) for name, answer in measured.answers.items()},
        "rows": measured.rows(),
        "contestants": measured.contestants(),
    }


def write(path: Path | None, measured: list[Measured], **about: Any) -> None:
    """Write everything that was measured as JSON, if a file is asked for, beside what else is to be said."""
    if path:
        path.write_text(json.dumps({**about, "workloads": [as_json(item) for item in measured]}, indent=1) + "\n")


def as_table(title: str, measured: list[Measured]) -> Table:
    """Return the table for people: what is measured against first, then the challenger, then whoever else ran."""
    table = new_table(title)
    for item in measured:
        add_rows(table, as_json(item))
    return table


def new_table(title: str) -> Table:
    """Return the table for people, empty."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "ratios within one run, median of the runs; p50 / p99 of single calls on this machine"
    for column in ("workload", "bar", "goal", "measured", "runs", "verdict", "against", "challenger", "others"):
        table.add_column(column, justify="right" if column in {"bar", "goal", "measured"} else "left")
    return table


def add_rows(table: Table, workload: dict[str, Any]) -> None:
    """Add the rows of a workload to a table, from its JSON."""
    for row in workload["rows"]:
        table.add_row(*_cells(workload, row))


def show(*parts: Any) -> None:
    """Print tables for people, in full where nobody's screen sets their width."""
    Console(width=None if sys.stdout.isatty() else 200).print(*parts)


def _digest(answer: list[Any]) -> str:
    return hashlib.sha256(json.dumps(answer).encode()).hexdigest()


def _cells(workload: dict[str, Any], row: dict[str, Any]) -> list[str]:
    sign, unit = (">=" if row["at_least"] else "<="), row["unit"]
    bar, goal = ("" if row[key] is None else f"{sign} {row[key]:g} {unit}".strip() for key in ("bar", "goal"))
    colour = {"short": "red", "met bar": "yellow", "met goal": "green"}.get(row["verdict"], "dim")
    return [
        row["title"],
        bar,
        goal,
        f"{row['value']:.2f} {unit}".strip(),
        " ".join(f"{value:.2f}" for value in row["runs"]),
        f"[{colour}]{row['verdict']}[/]",
        *_contestants(workload),
    ]


def _contestants(workload: dict[str, Any]) -> tuple[str, str, str]:
    """Return what is measured against, the challenger, and the others with how many times as long as it they took."""
    spent, unit = workload["contestants"], workload["unit"]
    against, challenger, *others = [None, *spent] if len(spent) == 1 else spent
    mine = spent[challenger]["median"]
    beside = (f"{name}: {spent[name]['median'] / mine:.2f} x, {_shown(spent[name], unit)}" for name in others)
    return (
        f"{against}: {_shown(spent[against], unit)}" if against else "",
        _shown(spent[challenger], unit),
        "\n".join(beside),
    )


def _shown(figures: dict[str, float], unit: str) -> str:
    if unit == "bytes":
        return f"{figures['median'] / 1e6:.1f} MB"
    return f"{_time(figures['median'])} / {_time(figures['p99'])}"


def _time(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.2f} ms" if nanoseconds >= 1e6 else f"{nanoseconds / 1e3:.3g} us"
