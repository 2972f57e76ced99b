"""What the commands ``backup``, ``restore`` and ``migrate`` print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from whisper_persistence.operations import Backup
from whisper_persistence.records import BackupReport, SchemaReport


def print_backup(backup: Backup) -> None:
    """Print what was backed up, and what was not."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    report = backup.report
    console.print(f"{report.tier}: {sum(report.counts.values()):,} rows, {report.size:,} bytes, verified")
    console.print(f"written to {report.path}, which is as private as what it holds")
    if backup.others:
        console.print(f"not in it: what {', '.join(backup.others)} may keep besides")


def print_restore(report: BackupReport) -> None:
    """Print what was restored, and what became of what was there."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    made = f"{report.made_at:%Y-%m-%d %H:%M} UTC" if report.made_at else "an unknown time, by other means"
    console.print(f"{report.tier}: {sum(report.counts.values()):,} rows, from a backup of {made}")
    console.print(f"erased again, since they were erased after it: {report.erased_again:,} users")
    if report.kept:
        console.print(f"what was there could not be read and lies at {report.kept}")


def print_schemas(reports: Sequence[SchemaReport], *, done: bool) -> None:
    """Print which schema each database has, and what opening does to it or has done."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for report in reports:
        present = f"schema version {report.version}" if report.version else "nothing installed yet"
        console.print(f"{report.tier}: {present}, this release has {report.newest}")
        for step in report.steps:
            console.print(f"  {'done' if done else 'to do'}: {step}")
    if not reports:
        console.print("no driver of the chain has a schema")
