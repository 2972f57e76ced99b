"""The ``restore`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, confirm, print_json, yes_option
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"FILE": "What backup wrote, or another copy of a SQLite memory that nobody was writing to."},
    examples=(
        "whisper-persistence --url sqlite:///new.db restore memory-2025-03-01.db",
        "whisper-persistence restore memory-2025-03-01.db --overwrite --yes",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the memory that is there.")
@yes_option
@as_json_option
@click.pass_obj
def restore(overrides: dict[str, Any], file: Path, overwrite: bool, yes: bool, as_json: bool) -> None:
    """Put a backup in the place of the SQLite memory, verified; whoever was erased since is erased again.

    Stop the programs that use the memory first. The backup stays as it is.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli.backups import print_restore
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.operations import restore as restore_backup
    from whisper_persistence.settings import load_settings

    if overwrite:
        confirm("The memory that is there is replaced by the backup. Restore?", yes=yes)
    settings = load_settings(**overrides)
    with show_status("verifying and restoring", shown=not as_json):
        report = restore_backup(settings, file, overwrite=overwrite)
    print_json(codec.to_mapping(report)) if as_json else print_restore(report)
