"""The ``import`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"FILE...": "One archive, or any number of JSON Lines files."},
    name="import",
    examples=(
        "whisper-persistence import alice.zip",
        "whisper-persistence import talk.jsonl more.jsonl",
        'whisper-persistence import --from-whisperengine "$DATABASE_URL"',
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--from-whisperengine",
    "whisperengine",
    metavar="URL",
    help="Import from this WhisperEngine database (PostgreSQL) instead.",
)
@as_json_option
@click.pass_obj
def import_(overrides: dict[str, Any], files: tuple[str, ...], whisperengine: str | None, as_json: bool) -> None:
    """Import records from an archive, from JSON Lines files, or from a WhisperEngine database.

    An archive is a folder or zip file written by `export`; it is verified first, and compared with the store at the
    end. In a JSON Lines file each line is one record: a JSON object whose "kind" is messages (the default), outcomes,
    strategies, scores, statistics, patterns or preferences, and whose other keys are the fields of that record.
    """
    from whisper_persistence.cli.importing import check_kept, describe_tables, import_files, print_counts, print_tables
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.operations import is_archive

    if bool(files) == bool(whisperengine):
        raise click.UsageError("name at least one file, or give --from-whisperengine")
    archives = [path for path in map(Path, files) if path.is_dir() or is_archive(path)]
    if archives and len(files) > 1:
        raise click.UsageError("name an archive by itself")
    with open_store(overrides) as store:
        if whisperengine:
            from whisper_persistence.operations import import_whisperengine

            with show_status("importing", shown=not as_json):
                tables = import_whisperengine(store, whisperengine)
            check_kept(store)
            print_json(describe_tables(tables)) if as_json else print_tables(tables)
            return
        if archives:
            from whisper_persistence.cli.archiving import describe_import, print_import, run_import

            compared = run_import(store, archives[0], shown=not as_json)
            check_kept(store)
            print_json(describe_import(compared)) if as_json else print_import(compared)
            return
        counts = import_files(store, [Path(file) for file in files], show_progress=not as_json)
        check_kept(store)
    print_json(counts) if as_json else print_counts(counts)
