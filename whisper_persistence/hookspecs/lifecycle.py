"""Opening, closing and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.hookspecs import Below
    from whisper_persistence.records import SchemaReport, TierHealth


class LifecycleSpecs:
    """Opening, closing and health.

    `inspect_schema`, `open` and `close` are called on each driver separately, not down the chain.
    """

    @hookspec
    def inspect_schema(self) -> SchemaReport | None:
        """Say which schema the storage has, before anything is opened, and what opening would do to it.

        Raises:
            ConfigurationError, StorageDamagedError, StorageUnavailableError: as `open`.
        """

    @hookspec
    def open(self, below: Below, namespace: str) -> None:
        """Get ready: connect, migrate, start threads. Called once, from the bottom of the chain up.

        Args:
            below: every hook of the drivers listed after this one.
            namespace: the bot or character that every record of this store belongs to.

        Raises:
            ConfigurationError: an option cannot work, such as a path that cannot be written.
            IncompatibleSchemaError: the storage has a schema that this driver does not know.
            StorageDamagedError: the storage cannot be read.
            StorageUnavailableError: the storage did not answer.
        """

    @hookspec
    def close(self) -> None:
        """Give back everything that `open` took. Called once, from the top down, also after an error in another."""

    @hookspec(firstresult=True)
    def check_health(self) -> tuple[TierHealth, ...] | None:
        """Ask the storage how it is, for real and with a deadline; add the report to that from below.

        Returns:
            One report per tier, this one first. A tier that is down is reported, and raises nothing.
        """
