"""Copies of a tier, for the day that it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import BackupReport


class BackupSpecs:
    """Copies of a database of record that is a file; a server's are made by the means of the server."""

    @hookspec(firstresult=True)
    def back_up(self, path: str) -> BackupReport | None:
        """Write all that this tier keeps, of every namespace, to a new file, while others go on writing; and verify it.

        Raises:
            ConfigurationError: there is a file already, or it cannot be written.
            StorageDamagedError: the copy is not what was copied.
        """

    @hookspec(firstresult=True)
    def restore(self, path: str, overwrite: bool) -> BackupReport | None:
        """Put a backup in the place of what this tier keeps. Asked of drivers that are not open.

        Users who were erased since the backup are erased again, and every revision grows beyond any that was ever given
        out, so that no follower takes what it holds for the present.

        Args:
            path: the file that `back_up` wrote.
            overwrite: whether to replace a memory that is there.

        Raises:
            ConfigurationError: there is a memory already and it is not to be replaced, or the backup is not there.
            IncompatibleSchemaError: the backup was made by a newer release.
            StorageDamagedError: the backup is not what was backed up.
        """
