"""The contract between a store and its drivers: what storage can do, with one class of hooks for each subject.

Who calls. A `Store` (or `AsyncStore`) calls a hook with a batch. The first driver in the chain that implements the hook
and does not return ``None`` has answered. A driver that wants the answer of the drivers listed after it asks ``below``,
which `LifecycleSpecs.open` passes to it. ``below`` has every hook of those drivers, and returns ``None`` if none of
them implements it.

What a hook may rely on. A batch is a sequence of at most 1,000 records or changes that were validated (`validation`),
with times in UTC and scores rounded to 1e-9. Its order is call order: changes to one key apply in that order, and of
several saves of one key the last one wins. One call is one transaction, stored as a whole or not at all.

What a hook must guarantee. Writes return one `Receipt` per item, in order; loads return a mapping of what exists,
without absent keys. If the storage cannot be reached, raise `StorageUnavailableError`; if the database refuses
something permanently, raise `StorageRefusedError`. Raise only errors of `whisper_persistence.errors`, and never put a
password or private text into one. Hooks may be called from several threads at once, and must not block without a
timeout.

What a driver declares in its class body. ``local = True``: everything it asks is in this process or on this machine's
disk, so the net above it (memory-fallback) calls it directly, without a deadline; an observer with ``local = True``
runs on the caller's thread, without a deadline. ``bears_outages = True``: this driver is opened even if one below it
cannot be opened because of an outage; until `Below.reopen` succeeds, those below raise `StorageUnavailableError`.
``skippable = True``: the next driver may answer in its place, for any call at any time, as is right for a cache that
checks everything with the drivers below. ``max_readers`` and ``max_writers``: how many batches of one hook that loads,
or that writes, `AsyncStore` may have on their way at once; the smallest number in the chain counts, and that of the
settings (``workers``) is never exceeded. Imports have as many threads as ``max_writers`` says, three at most. What
happens to drivers that violate the contract is described in `whisper_persistence.guarding`; a driver of record also
follows the rules of `whisper_persistence.origins` for writes that are replayed.

Writing a driver. Subclass the spec classes you implement, mark each implementation with `hookimpl`, declare
``contract_version`` in the class body, and make your options attrs fields (``attrs.define(eq=False)``). Arguments of
hooks have no defaults and are not keyword-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from whisper_persistence.hookspecs.analytics import AnalyticsSpecs
from whisper_persistence.hookspecs.backups import BackupSpecs
from whisper_persistence.hookspecs.conversations import ConversationSpecs
from whisper_persistence.hookspecs.erasing import ErasureSpecs
from whisper_persistence.hookspecs.following import FollowerSpecs
from whisper_persistence.hookspecs.integrity import IntegritySpecs
from whisper_persistence.hookspecs.lifecycle import LifecycleSpecs
from whisper_persistence.hookspecs.maintenance import MaintenanceSpecs
from whisper_persistence.hookspecs.markers import CONTRACT_VERSION, PROJECT, hookimpl, hookspec
from whisper_persistence.hookspecs.search import SearchSpecs
from whisper_persistence.hookspecs.statistics import StatisticsSpecs
from whisper_persistence.hookspecs.strategies import StrategySpecs

if TYPE_CHECKING:
    from whisper_persistence.records.kinds import RecordKind

__all__ = [
    "CONTRACT_VERSION",
    "KINDS",
    "PROJECT",
    "SPECS",
    "SUBJECTS",
    "AnalyticsSpecs",
    "BackupSpecs",
    "Below",
    "ConversationSpecs",
    "ErasureSpecs",
    "FollowerSpecs",
    "IntegritySpecs",
    "LifecycleSpecs",
    "MaintenanceSpecs",
    "SearchSpecs",
    "StatisticsSpecs",
    "StrategySpecs",
    "hook_names",
    "hookimpl",
    "hookspec",
]


class Below(
    StrategySpecs,
    StatisticsSpecs,
    ConversationSpecs,
    SearchSpecs,
    FollowerSpecs,
    MaintenanceSpecs,
    ErasureSpecs,
    BackupSpecs,
    IntegritySpecs,
    AnalyticsSpecs,
    LifecycleSpecs,
):
    """The hooks of some drivers together, as type checkers see them; ``None`` where nobody answers."""

    def monitor(self, before: Callable[..., None], after: Callable[..., None]) -> Callable[[], None]:
        """Have every hook call told to two functions, tier by tier: for observers that measure.

        Args:
            before: called with the hook's name, the implementations that may answer (the first asked is the last one;
                each names its driver as ``plugin_name``) and the arguments.
            after: called with the outcome (a ``pluggy.Result``), and the same three.

        Returns:
            What ends it; to be called by `LifecycleSpecs.close`.
        """
        raise NotImplementedError

    def unopened(self) -> bool:
        """Say whether a driver here could not be opened yet; only one that bears outages ever sees it."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Open the drivers here that could not be opened yet.

        Raises:
            PersistenceError: they still cannot be.
        """
        raise NotImplementedError


SPECS: Final[tuple[type, ...]] = (
    LifecycleSpecs,
    StrategySpecs,
    StatisticsSpecs,
    ConversationSpecs,
    SearchSpecs,
    FollowerSpecs,
    MaintenanceSpecs,
    ErasureSpecs,
    BackupSpecs,
    IntegritySpecs,
    AnalyticsSpecs,
)

#: The subjects that a driver may be restricted to by its settings, and the spec classes they stand for.
SUBJECTS: Final[Mapping[str, tuple[type, ...]]] = {
    "strategies": (StrategySpecs,),
    "statistics": (StatisticsSpecs,),
    "conversations": (ConversationSpecs, SearchSpecs),
}

#: The kinds of record that belong to each subject.
KINDS: Final[Mapping[str, tuple[RecordKind, ...]]] = {
    "strategies": ("strategies", "outcomes"),
    "statistics": ("statistics", "scores", "patterns", "preferences"),
    "conversations": ("messages",),
}


def hook_names(spec_classes: Iterable[type]) -> list[str]:
    """Return the names of the hooks that these spec classes declare, in order."""
    return [name for spec in spec_classes for name in vars(spec) if not name.startswith("_")]
