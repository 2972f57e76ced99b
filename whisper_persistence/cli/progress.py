"""Bars on standard error for work that takes its time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from whisper_persistence.operations import Report
from whisper_persistence.records.kinds import RecordKind


@contextmanager
def show_progress(shown: bool) -> Generator[Report]:
    """Show a bar for each kind that is worked on; how many there are is known when the kind is done.

    Args:
        shown: whether to show anything; nothing is shown either where standard error is no terminal.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:

        def report(work: str, kind: RecordKind, count: int) -> None:
            if not count:
                return
            name = f"{work} {kind}"
            if name not in tasks:
                _finish(progress)
                tasks[name] = progress.add_task(name, total=None)
            progress.advance(tasks[name], count)

        yield report
        _finish(progress)


@contextmanager
def show_status(text: str, *, shown: bool) -> Generator[Callable[[int], None]]:
    """Show a bar for work of which it is not known how long it is, where standard error is a terminal; gone at the end.

    Args:
        text: what is being done.
        shown: whether to show anything.

    Yields:
        What may be told how much is left, where that becomes known.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(text, total=None)

        def left(count: int) -> None:
            total = max(progress.tasks[0].total or 0, count)
            progress.update(task, total=total, completed=total - count)

        yield left


def _finish(progress: Progress) -> None:
    for task in progress.tasks:
        progress.update(task.id, total=task.completed)
