"""The ``migrate`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    examples=(
        "whisper-persistence migrate --dry-run",
        "whisper-persistence --url postgresql://bot@db/memory migrate",
    ),
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@as_json_option
@click.pass_obj
def migrate(overrides: dict[str, Any], dry_run: bool, as_json: bool) -> None:
    """Upgrade the database schema to this release, as opening the memory would do anyway.

    A SQLite file is copied first, to a file beside it; PostgreSQL is upgraded in one transaction, under a lock.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli.backups import print_schemas
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.operations import inspect_schemas
    from whisper_persistence.settings import load_settings

    reports = inspect_schemas(load_settings(**overrides))
    if not dry_run:
        with show_status("upgrading", shown=not as_json):
            open_store(overrides).close()
    told = {"done": not dry_run, "databases": codec.to_mapping(reports)}
    print_json(told) if as_json else print_schemas(reports, done=not dry_run)
