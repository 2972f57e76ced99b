"""The ``expire`` command: what would go, a question, and what went."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from whisper_persistence.aio import AsyncStore
from whisper_persistence.clocks import ClockWatch
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.operations import RetentionReport, apply_retention
from whisper_persistence.operations.retention import clock_path
from whisper_persistence.records import RECORD_KINDS
from whisper_persistence.settings import Settings, load_settings


def load_policies(overrides: Mapping[str, Any]) -> Settings:
    """Return the settings.

    Raises:
        ConfigurationError: they do not say that anything ever expires.
    """
    settings = load_settings(**overrides)
    if not settings.policies.rules:
        raise ConfigurationError(
            "everything is kept for ever: say in the table [whisper-persistence.retention] of a TOML file what expires"
        )
    return settings


def run_expire(settings: Settings, *, dry_run: bool, trust_clock: bool) -> RetentionReport:
    """Remove what expired, or only count it."""
    watch = ClockWatch(clock_path())
    if trust_clock:
        watch.note()

    async def run() -> RetentionReport:
        async with AsyncStore.from_settings(settings) as store:
            return await apply_retention(store, settings.policies, dry_run=dry_run, watch=watch)

    return asyncio.run(run())


def describe_expiry(report: RetentionReport) -> dict[str, Any]:
    """Return a report as JSON data."""
    return {
        "dry_run": report.dry_run,
        "began": report.began.isoformat(),
        "seconds": round(report.seconds, 3),
        "total": report.total(),
        "tiers": {
            tier.tier: {"counts": tier.counts, "rewritten": tier.rewritten, "remaining": tier.remaining}
            for tier in report.tiers
        },
    }


def print_expiry(report: RetentionReport) -> None:
    """Print how many records of each kind went, or would, from each tier."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("would go" if report.dry_run else "gone")
    for tier in report.tiers:
        table.add_column(tier.tier, justify="right")
    kinds = [kind for kind in RECORD_KINDS if any(kind in tier.counts for tier in report.tiers)]
    for kind in kinds:
        table.add_row(kind, *(f"{tier.counts.get(kind, 0):,}" for tier in report.tiers))
    console.print(table)
    for tier in report.tiers:
        for rest in tier.remaining:
            console.print(f"out of reach of {tier.tier}: {rest}")
