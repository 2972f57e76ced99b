"""The contract between a store and its drivers: what storage can do, one class of hooks a subject.

Who calls. A `Store` (or `AsyncStore`) calls a hook with one batch; the first driver of the chain that has the hook and
does not answer ``None`` gives the answer. A driver that wants the answer of those listed after it asks ``below``, which
it was given by `LifecycleSpecs.open` and which has every hook of the drivers after it; ``below`` answers ``None`` when
none of them has the hook.

What every hook may rely on. Batches are sequences of at most 1,000 legal records or changes (`validation`), with
times in UTC and scores quantised to 1e-9. A batch has call order: changes to one key fold in that order, and of
several saves of one key the last wins. One call is one transaction: it is kept whole or not at all.

What every hook promises. Writes answer one `Receipt` per item, in order; loads answer a mapping of what exists, so an
absent key is absent. What could not be asked raises `StorageUnavailableError`; what the database refuses for good
raises `StorageRefusedError`; nothing but the errors of `whisper_persistence.errors` leaves a hook, and none carries a
password or a private text. Hooks may be called from several threads at once and must not block without a timeout.

What a driver says of itself. ``local = True`` in the class body: all it asks is in this process or on this machine's
disk, so that a net above it (memory-fallback) calls it straight, without a deadline. ``bears_outages = True``: where a
driver below cannot be opened for an outage, this one is opened all the same; until `Below.reopen` succeeds, those below
raise `StorageUnavailableError`. ``skippable = True``: the next driver may answer in its place, for any call, at any
time, as it may for a cache that believes nothing without asking below. An observer with ``local = True`` is asked on
the caller's own thread, without a deadline. What happens to drivers that do what they must not is told in
`whisper_persistence.guarding`. A driver of record keeps, for writes that are replayed, the rules of
`whisper_persistence.origins`.

Writing a driver. Subclass the spec classes you implement, mark each implementation with `hookimpl`, declare
``contract_version`` in the class body, and make your options attrs fields (``attrs.define(eq=False)``). Hooks take
neither default nor keyword-only arguments.
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
    from whisper_persistence.records.maintenance import RecordKind

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
