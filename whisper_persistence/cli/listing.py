"""The ``drivers`` command: what is installed, what is chosen, and why."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from whisper_persistence.installed import installed_drivers
from whisper_persistence.settings import Settings


def describe_drivers(settings: Settings) -> dict[str, Any]:
    """Return what is installed and chosen, as JSON data; imports no driver."""
    installed = [
        {
            "name": name,
            "distribution": entry.dist.name if entry.dist else None,
            "version": entry.dist.version if entry.dist else None,
            "class": entry.value,
        }
        for name, entries in installed_drivers().items()
        for entry in entries
    ]
    known = {row["name"] for row in installed}
    chosen = (*settings.drivers, *settings.observers)
    return {
        "drivers": list(settings.drivers),
        "observers": list(settings.observers),
        "subjects": {name: sorted(subjects) for name, subjects in settings.subjects.items()},
        "reason": settings.reason,
        "namespace": settings.namespace,
        "installed": installed,
        "missing": [name for name in chosen if name not in known],
    }


def print_drivers(listing: dict[str, Any]) -> None:
    """Print what `describe_drivers` found."""
    table = Table("driver", "from", "chosen", box=None, header_style="bold", pad_edge=False)
    for row in listing["installed"]:
        owner = f"{row['distribution']} {row['version']}"
        table.add_row(escape(row["name"]), escape(owner), _place(row["name"], listing))
    for name in listing["missing"]:
        table.add_row(escape(name), "[red]not installed[/]", _place(name, listing))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(escape(f"\nchosen: {', '.join(listing['drivers'])}, because {listing['reason']}"))
    console.print(escape(f"namespace: {listing['namespace']}"))


def _place(name: str, listing: dict[str, Any]) -> str:
    if name in listing["observers"]:
        return "observer"
    if name not in listing["drivers"]:
        return ""
    subjects = listing["subjects"].get(name)
    return str(listing["drivers"].index(name) + 1) + (f", for {', '.join(subjects)}" if subjects else "")
