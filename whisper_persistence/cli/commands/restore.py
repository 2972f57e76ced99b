"""The ``restore`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, confirm, print_json, yes_option
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"FILE": "A file written by `backup`, or another copy of a SQLite memory that was not in use."},
    examples=(
        "whisper-persistence --url sqlite:///new.db restore memory-2025-03-01.db",
        "whisper-persistence restore memory-2025-03-01.db --overwrite --yes",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the existing memory.")
@yes_option
@as_json_option
@click.pass_obj
def restore(overrides: dict[str, Any], file: Path, overwrite: bool, yes: bool, as_json: bool) -> None:
    """Verify a backup and restore it as the SQLite memory; users erased since then are erased again.

    Stop all programs that use the memory first. The backup itself is not changed.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli.backups import print_restore
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.operations import restore as restore_backup
    from whisper_persistence.settings import load_settings

    if overwrite:
        confirm("The existing memory will be replaced by the backup. Restore?", yes=yes)
    settings = load_settings(**overrides)
    with show_status("verifying and restoring", shown=not as_json):
        report = restore_backup(settings, file, overwrite=overwrite)
    print_json(codec.to_mapping(report)) if as_json else print_restore(report)
