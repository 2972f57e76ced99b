"""The ``doctor`` command: which drivers were chosen, why, from where, and how each one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from whisper_persistence.operations.doctor import Diagnosis


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_obj
def doctor(overrides: dict[str, Any], as_json: bool) -> None:
    """Say which drivers were chosen and why, and how each one is; the exit code is 1 when something is wrong.

    It opens the store as a bot would: what a process left in its journal is taken over, and brought in if the storage
    answers.
    """
    from whisper_persistence.operations.doctor import diagnose
    from whisper_persistence.settings import load_settings

    found = diagnose(load_settings(**overrides))
    _print_json(found) if as_json else _print(found)
    if found.problems:
        raise click.exceptions.Exit(1)


def _print_json(found: Diagnosis) -> None:
    import msgspec

    plain = {**msgspec.to_builtins(found), "healthy": not found.problems}
    click.echo(msgspec.json.format(msgspec.json.encode(plain), indent=2))


def _print(found: Diagnosis) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"chosen: {', '.join(found.drivers)}, because {escape(found.reason)}")
    for name, options in found.sources.items():
        console.print(f"options of {name}: {', '.join(options) or 'all as they are by default'}")
    table = Table("driver", "state", "ms", "details", box=None, header_style="bold", pad_edge=False)
    for tier in found.tiers:
        latency = "" if tier.latency is None else f"{tier.latency * 1000:.1f}"
        details = ", ".join(f"{name} {value}" for name, value in tier.details.items() if value not in (None, ""))
        table.add_row(tier.tier, tier.state.value, latency, escape(details))
    console.print()
    console.print(table)
    for problem in found.problems:
        console.print(f"[red]wrong:[/] {escape(problem)}")
    if not found.problems:
        console.print("\nall is well")
