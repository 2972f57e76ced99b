"""The ``backup`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"FILE": "The file to write; it must not exist. It holds everything the memory does."},
    examples=(
        "whisper-persistence backup memory-2025-03-01.db",
        "whisper-persistence --url sqlite:///memory.db backup /backups/memory.db --json",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@as_json_option
@click.pass_obj
def backup(overrides: dict[str, Any], file: Path, as_json: bool) -> None:
    """Back up a SQLite memory, with every namespace, while programs go on using it, and verify the copy.

    To back up PostgreSQL, use pg_dump on the schema `whisper_persistence`.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli.backups import print_backup
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.operations import back_up

    with open_store(overrides) as store, show_status("copying and verifying", shown=not as_json):
        made = back_up(store, file)
    print_json(codec.to_mapping(made)) if as_json else print_backup(made)
