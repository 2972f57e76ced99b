"""What doctor found, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whisper_persistence.operations import Diagnosis


def describe_diagnosis(found: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as plain data."""
    import msgspec

    return {**msgspec.to_builtins(found), "healthy": not found.problems}


def print_diagnosis(found: Diagnosis) -> None:
    """Print a diagnosis."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    console.print(escape(f"chosen: {', '.join(found.drivers)}, because {found.reason}"))
    for name, options in found.sources.items():
        console.print(escape(f"options of {name}: {', '.join(options) or 'all as they are by default'}"))
    table = Table("driver", "state", "ms", "details", box=None, header_style="bold", pad_edge=False)
    for tier in found.tiers:
        latency = "" if tier.latency is None else f"{tier.latency * 1000:.1f}"
        details = ", ".join(f"{name} {value}" for name, value in tier.details.items() if value not in (None, ""))
        table.add_row(escape(tier.tier), tier.state.value, latency, escape(details))
    console.print()
    console.print(table)
    for problem in found.problems:
        console.print(f"[red]wrong:[/] {escape(problem)}")
    if not found.problems:
        console.print("\nall is well")
