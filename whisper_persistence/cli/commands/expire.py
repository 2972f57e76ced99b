"""The ``expire`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, check_answered, confirm, print_json, yes_option
from whisper_persistence.cli.commands.manual import SETTINGS, STATE, Command


@click.command(
    cls=Command,
    environment={**SETTINGS, **STATE},
    examples=(
        "whisper-persistence expire --dry-run",
        "whisper-persistence --config bot.toml expire --yes --json",
    ),
)
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
@click.option("--trust-clock", is_flag=True, help="Go ahead although the clock was moved: it is right now.")
@yes_option
@as_json_option
@click.pass_obj
def expire(overrides: dict[str, Any], *, dry_run: bool, trust_clock: bool, yes: bool, as_json: bool) -> None:
    """Remove what the retention policies in the settings no longer keep, from every driver."""
    from whisper_persistence.cli.expiring import describe_expiry, load_policies, print_expiry, run_expire
    from whisper_persistence.cli.progress import show_status

    check_answered(as_json=as_json, dry_run=dry_run, yes=yes)
    settings = load_policies(overrides)
    if not (dry_run or yes):
        with show_status("counting", shown=True):
            would = run_expire(settings, dry_run=True, trust_clock=False)
        print_expiry(would)
        if not would.total():
            return
        confirm(f"Remove {would.total():,} records for good?", yes=yes)
    with show_status("counting" if dry_run else "removing", shown=not as_json):
        report = run_expire(settings, dry_run=dry_run, trust_clock=trust_clock)
    print_json(describe_expiry(report)) if as_json else print_expiry(report)
