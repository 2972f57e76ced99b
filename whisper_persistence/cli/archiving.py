"""The ``export`` command, and ``import`` where it is given an archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from whisper_persistence.cli.progress import show_progress
from whisper_persistence.operations import Comparison, Manifest, export_archive, import_archive
from whisper_persistence.store import Store


def run_export(store: Store, path: Path, user: str | None, *, shown: bool) -> Manifest:
    """Write an archive, with a bar where that is wanted."""
    with show_progress(shown) as report:
        return export_archive(store, path, user, report)


def run_import(store: Store, path: Path, *, shown: bool) -> tuple[Comparison, ...]:
    """Read an archive, with a bar where that is wanted."""
    with show_progress(shown) as report:
        return import_archive(store, path, report)


def describe_export(path: Path, manifest: Manifest) -> dict[str, Any]:
    """Return what was written, as JSON data."""
    return {"archive": str(path), "records": manifest.counts(), "digest": manifest.digest()}


def print_export(path: Path, manifest: Manifest) -> None:
    """Print what was written."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for kind, count in manifest.counts().items():
        console.print(f"{count:>10,} {kind}")
    console.print(f"written to {path}, which is as private as what it holds")


def describe_import(compared: Sequence[Comparison]) -> dict[str, Any]:
    """Return what the comparison of archive and store found, as JSON data."""
    kinds = {c.kind: {"archive": c.source, "store": c.destination, "equal": c.equal} for c in compared}
    return {"equal": all(c.equal for c in compared), "kinds": kinds}


def print_import(compared: Sequence[Comparison]) -> None:
    """Print how many records of each kind archive and store hold, and whether they are equal."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for kind in compared:
        console.print(
            f"{kind.source:>10,} {kind.kind}{'' if kind.equal else f', and the store has {kind.destination:,}'}"
        )
    if all(kind.equal for kind in compared):
        console.print("archive and store hold the same, by number and content")
    else:
        console.print("the store holds something else besides, which was left there")
