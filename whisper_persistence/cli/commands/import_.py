"""The ``import`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json


@click.command(name="import")
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--from-whisperengine", "whisperengine", metavar="URL", help="Read this database of WhisperEngine instead."
)
@as_json_option
@click.pass_obj
def import_(overrides: dict[str, Any], files: tuple[str, ...], whisperengine: str | None, as_json: bool) -> None:
    """Bring records in from JSON Lines files, or what an earlier attempt left in a database of WhisperEngine.

    A line is one record: an object with the kind of record and its fields. Lines without a kind are messages.
    """
    from whisper_persistence.cli.importing import describe_tables, import_files, print_counts, print_tables

    if bool(files) == bool(whisperengine):
        raise click.UsageError("name files, or give --from-whisperengine")
    with open_store(overrides) as store:
        if whisperengine:
            from whisper_persistence.operations import import_whisperengine

            tables = import_whisperengine(store, whisperengine)
            print_json(describe_tables(tables)) if as_json else print_tables(tables)
            return
        counts = import_files(store, [Path(file) for file in files], show_progress=not as_json)
    print_json(counts) if as_json else print_counts(counts)
