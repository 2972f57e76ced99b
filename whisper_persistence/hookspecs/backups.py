"""Backing up and restoring a tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import BackupReport


class BackupSpecs:
    """Copies of a database of record that is a file; a server is backed up by its own means."""

    @hookspec(firstresult=True)
    def back_up(self, path: str) -> BackupReport | None:
        """Copy all that this tier keeps, of every namespace, to a new file while others go on writing, and verify it.

        Raises:
            ConfigurationError: there is a file already, or it cannot be written.
            StorageDamagedError: the copy differs from the original.
        """

    @hookspec(firstresult=True)
    def restore(self, path: str, overwrite: bool) -> BackupReport | None:
        """Replace what this tier keeps by a backup. Called on drivers that are not open.

        Users who were erased since the backup are erased again. Every revision is raised beyond any that was ever used,
        so that no follower takes what it holds for current.

        Args:
            path: the file that `back_up` wrote.
            overwrite: whether to replace an existing memory.

        Raises:
            ConfigurationError: there is a memory already and ``overwrite`` is false, or the backup does not exist.
            IncompatibleSchemaError: the backup was made by a newer release.
            StorageDamagedError: the backup is damaged or was changed.
        """
