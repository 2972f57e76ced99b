"""The ``import`` command: a progress bar around the work, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.operations import Batch, TableReport, import_file
from whisper_persistence.store import Store


def import_files(store: Store, files: Sequence[Path], *, show_progress: bool) -> dict[str, int]:
    """Store the records of files, and return how many of each kind they hold."""
    counts: dict[str, int] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (show_progress and console.is_terminal)) as progress:
        for file in files:
            task = progress.add_task(file.name, total=file.stat().st_size or None)

            def advance(batch: Batch, task: object = task) -> None:
                progress.advance(task, batch.size)  # type: ignore[arg-type]

            for kind, count in import_file(store, file, advance).items():
                counts[kind] = counts.get(kind, 0) + count
    return counts


def check_kept(store: Store) -> None:
    """Tell how much of an import waits in a journal.

    Raises:
        StorageUnavailableError: some is in the memory of this process alone, which is about to end.
    """
    numbers = store.metrics().values()
    volatile, waiting = (int(sum(own.get(name, 0) for own in numbers)) for name in ("volatile", "backlog"))
    if volatile:
        raise StorageUnavailableError(
            f"{volatile:,} writes are in the memory of this process alone and lost now, since neither the storage nor "
            "the journal's folder can be written: see what `whisper-persistence doctor` says, and import again"
        )
    if waiting:
        Console(stderr=True).print(f"{waiting:,} writes wait in the journal until the storage answers")


def print_counts(counts: Mapping[str, int]) -> None:
    """Print how many records of each kind there were."""
    console = Console(highlight=False)
    for kind, count in counts.items():
        console.print(f"{count:>10,} {kind}")
    if not counts:
        console.print("the files hold no records")


def describe_tables(tables: Mapping[str, TableReport]) -> dict[str, Any]:
    """Return what became of the rows of tables, for machines."""
    return {
        name: {"rows": report.rows, "taken": report.taken, "left": dict(report.left), "extra": sorted(report.extra)}
        for name, report in tables.items()
    }


def print_tables(tables: Mapping[str, TableReport]) -> None:
    """Print what became of the rows of tables."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, report in tables.items():
        console.print(f"{name}: {report.taken:,} of {report.rows:,} rows taken")
        for reason, count in report.left.most_common():
            console.print(f"{count:>10,} left: {reason}")
        if report.extra:
            console.print(f"           kept in extra: {', '.join(sorted(report.extra))}")
    if not tables:
        console.print("the database holds no WhisperEngine tables to import")
