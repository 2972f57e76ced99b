"""What settings are, once they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from whisper_persistence.discovery import DriverSpec
from whisper_persistence.settings.policies import StoragePolicies

#: How many batches of one hook `AsyncStore` may have on their way, unless settings say otherwise.
DEFAULT_WORKERS: Final = 4
#: The namespace of records, unless settings or ``DISCORD_BOT_NAME`` name another.
DEFAULT_NAMESPACE: Final = "default"


@attrs.frozen
class Settings:
    """Which drivers keep the memory, with which options, and why these.

    Attributes:
        drivers: names of drivers, the first asked first, the database of record last.
        observers: names of observers, which see each call and keep nothing.
        options: values for the options of drivers and observers, by their name; never shown, they may hold passwords.
        subjects: the subjects that a driver is restricted to, by its name.
        namespace: the bot or character that every record belongs to.
        workers: how many threads load, how many write and how many do the rest; and how many batches of one hook may be
            on their way at once.
        reason: why these drivers were chosen, in words.
        policies: what is kept where, for how long and how many.
    """

    drivers: tuple[str, ...] = ("memory-fallback", "sqlite")
    observers: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict[str, dict[str, Any]], repr=False)
    subjects: Mapping[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])
    namespace: str = DEFAULT_NAMESPACE
    workers: int = DEFAULT_WORKERS
    reason: str = "given in code"
    policies: StoragePolicies = attrs.field(factory=StoragePolicies)

    def driver_specs(self) -> list[DriverSpec]:
        """Return what `whisper_persistence.plugins.Chain` needs to build the drivers, in order."""
        return [self._spec(name) for name in self.drivers]

    def observer_specs(self) -> list[DriverSpec]:
        """Return what `whisper_persistence.plugins.Chain` needs to build the observers, in order."""
        return [self._spec(name) for name in self.observers]

    def _spec(self, name: str) -> DriverSpec:
        return DriverSpec(name, dict(self.options.get(name, {})), self.subjects.get(name))
