"""The ``copy`` command: a progress bar around the work, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from whisper_persistence.cli.progress import show_progress as shown
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.operations import (
    Checkpoint,
    Comparison,
    checkpoint_path,
    copy_store,
    find_places,
    name_copy,
)

_NOT_CARRIED = (
    "not carried: positions, revisions, which changes were applied, followers with their pending work, vectors; "
    "what is cleared stays cleared"
)


def run_copy(
    source: str, destination: str, checkpoint: str | None, overrides: Mapping[str, Any], *, show_progress: bool
) -> tuple[Comparison, ...]:
    """Copy from one URL to another, and return what the comparison found.

    Raises:
        StorageUnavailableError: a side did not answer; the same command goes on from there.
    """
    found, wanted = find_places(source, destination)
    with found.open_source(**overrides) as ours, wanted.open(**overrides) as theirs, shown(show_progress) as report:
        copy = name_copy(found, wanted, ours.namespace)
        noted = Checkpoint.load(Path(checkpoint) if checkpoint else checkpoint_path(copy), copy)
        try:
            return copy_store(ours, theirs, noted, report)
        except StorageUnavailableError as error:
            raise StorageUnavailableError(f"{error}; the same command goes on where this one stopped") from None


def describe_copy(compared: Sequence[Comparison]) -> dict[str, Any]:
    """Return what the comparison found, as JSON data."""
    kinds = {c.kind: {"source": c.source, "destination": c.destination, "equal": c.equal} for c in compared}
    return {"equal": all(c.equal for c in compared), "kinds": kinds}


def print_copy(compared: Sequence[Comparison]) -> None:
    """Print how many records of each kind source and destination hold, whether they are equal, and what is left out."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for name in ("source", "destination"):
        table.add_column(name, justify="right")
    table.add_column("")
    for kind in compared:
        equal = "equal" if kind.equal else "[red]different[/]"
        table.add_row(kind.kind, f"{kind.source:,}", f"{kind.destination:,}", equal)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    if not any(kind.source for kind in compared):
        console.print("\nthe source holds nothing in this namespace: name another with --namespace before the command")
    elif not find_differences(compared):
        console.print("\nsource and destination hold the same, by number and content")
    console.print(_NOT_CARRIED)


def find_differences(compared: Sequence[Comparison]) -> str:
    """Return in words where source and destination differ, or nothing."""
    found = ", ".join(
        f"{c.kind} ({c.source:,} and {c.destination:,})" if c.source != c.destination else f"{c.kind} (the content)"
        for c in compared
        if not c.equal
    )
    advice = "stop what writes to either and run the copy again; what is only at the destination is left there"
    return f"source and destination differ in {found}: {advice}" if found else ""
