"""The ``rollback`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import (
    as_json_option,
    check_answered,
    confirm,
    open_store,
    print_json,
    source_options,
    yes_option,
)
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"SOURCE": "Where the text came from, as listed by `sources`; optional if --trust is given."},
    examples=(
        "whisper-persistence rollback https://example.com/page --dry-run",
        "whisper-persistence rollback tool:weather --user alice --since 2026-01-01",
        "whisper-persistence rollback --trust untrusted --yes --json",
    ),
)
@source_options
@click.option("--dry-run", is_flag=True, help="Only count what would be redacted.")
@yes_option
@as_json_option
@click.pass_obj
def rollback(
    overrides: dict[str, Any],
    /,
    source: str | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Permanently redact every message that came from a source, in every driver.

    The messages stay, without their text, so that conversations keep their order; the scores of those memories are
    removed. Run it again if it was interrupted.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli import sourcing
    from whisper_persistence.cli.progress import show_progress
    from whisper_persistence.operations import roll_back

    if source is None and filters["trust"] is None:
        raise click.UsageError("name a SOURCE, or give --trust: otherwise everything would be rolled back")
    check_answered(as_json=as_json, dry_run=dry_run, yes=yes)
    query = sourcing.to_query(source, filters)
    with open_store(overrides) as store:
        with show_progress(not as_json) as report:
            done = roll_back(store, query, dry_run=dry_run or not yes, report=report)
        if not (dry_run or yes) and done.messages:
            sourcing.show_rollback(done)
            confirm(f"Permanently redact {done.messages:,} messages?", yes=yes)
            with show_progress(not as_json) as report:
                done = roll_back(store, query, dry_run=False, report=report)
    print_json(codec.to_mapping(done)) if as_json else sourcing.show_rollback(done)
