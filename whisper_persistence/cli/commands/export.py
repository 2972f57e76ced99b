"""The ``export`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    fails="something cannot be read; then nothing is written",
    arguments={"ARCHIVE": 'The folder to create, or a zip file if the name ends in ".zip".'},
    examples=(
        "whisper-persistence export everything",
        "whisper-persistence export --user alice alice.zip",
    ),
)
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.option("--user", metavar="ID", help="Only what concerns this user or was written by them.")
@as_json_option
@click.pass_obj
def export(overrides: dict[str, Any], archive: Path, user: str | None, as_json: bool) -> None:
    """Write everything, or everything about one user, to an archive.

    The archive holds a JSON Lines file for each kind of record, and a manifest with their hashes. Use
    `whisper-persistence import ARCHIVE` to load it into another database.
    """
    from whisper_persistence.cli.archiving import describe_export, print_export, run_export

    with open_store(overrides) as store:
        manifest = run_export(store, archive, user, shown=not as_json)
    print_json(describe_export(archive, manifest)) if as_json else print_export(archive, manifest)
