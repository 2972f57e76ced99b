"""Backing up, restoring and upgrading: what an operator does to a database as a whole."""

from __future__ import annotations

from pathlib import Path

import attrs

from whisper_persistence.errors import NotSupportedError
from whisper_persistence.plugins import Chain
from whisper_persistence.records import BackupReport, SchemaReport
from whisper_persistence.settings import Settings
from whisper_persistence.store import Store

_ADVICE = "this works for SQLite files only, and a server is backed up by its own means, such as pg_dump"


@attrs.frozen
class Backup:
    """A backup of one tier, and which tiers it leaves out.

    Attributes:
        report: what the tier says of it.
        others: the other drivers of the chain; what they keep by themselves is not in the backup.
    """

    report: BackupReport
    others: tuple[str, ...]


def back_up(store: Store, path: Path) -> Backup:
    """Write all that the database of record keeps, of every namespace, to a new file, and verify it.

    Raises:
        ConfigurationError: the file is there already, or cannot be written.
        NotSupportedError: no driver of the chain keeps its records in a file.
        StorageDamagedError: the copy is not what was copied.
    """
    report = store.chain.hook.back_up(path=str(path))
    if report is None:
        raise NotSupportedError(f"no driver of the chain makes backups: {_ADVICE}")
    return Backup(report, tuple(name for name in store.chain.drivers if name != report.tier))


def restore(settings: Settings, path: Path, *, overwrite: bool) -> BackupReport:
    """Put a backup in the place of the database that settings name, and erase again whom was erased since.

    Raises:
        ConfigurationError: there is a memory already and it is not to be overwritten, or the backup is not there.
        NotSupportedError: no driver of the chain keeps its records in a file.
        StorageDamagedError: the backup is damaged, or not what it was.
    """
    report = Chain.build(settings.driver_specs()).hook.restore(path=str(path), overwrite=overwrite)
    if report is None:
        raise NotSupportedError(f"no driver of the chain restores backups: {_ADVICE}")
    return report


def inspect_schemas(settings: Settings) -> tuple[SchemaReport, ...]:
    """Say of each database that settings name which schema it has, and what opening it would do."""
    answers: list[SchemaReport | None] = Chain.build(settings.driver_specs()).hook.inspect_schema()  # type: ignore[assignment]
    return tuple(report for report in answers if report is not None)
