"""An erase from its beginning to its end: noted, carried out by every tier, settled; and finished after a crash."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs

from whisper_persistence.errors import PersistenceError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import checks

if TYPE_CHECKING:
    from whisper_persistence.records import TierReport

_log: Final = logging.getLogger(__name__)
_UNSETTLED: Final = "what deleted records left in files: the next open removes it, since the database went away"


def erase(hook: Below, user_ids: Sequence[str]) -> tuple[TierReport, ...] | None:
    """Erase users in every tier, and return the tiers' reports, or ``None`` where nobody erases.

    Before any tier begins, the database of record notes it durably, where there is one that answers; so an erase that
    is interrupted is finished when a store is opened the next time; so is one that every tier has carried out, and the
    database was gone before it could be settled.
    """
    noted = bool(user_ids) and _note(hook, user_ids)
    reports = hook.erase_users(user_ids=user_ids)
    if not noted or not reports:
        return reports
    try:
        settled = hook.settle_erasures(user_ids=user_ids)
    except StorageUnavailableError:
        settled = attrs.evolve(reports[-1], rewritten=(), remaining=(_UNSETTLED,))
    return reports if settled is None else tuple(_joined(report, settled) for report in reports)


def finish_interrupted(hook: Below) -> int:
    """Finish the erases that were begun and interrupted; what cannot be finished now is tried at the next open.

    Returns:
        How many users were erased.
    """
    begun: Sequence[str] = ()
    try:
        begun = hook.load_erasures() or ()
        for start in range(0, len(begun), checks.MAX_BATCH):
            erase(hook, begun[start : start + checks.MAX_BATCH])
    except PersistenceError as error:
        if begun:
            _log.warning("interrupted erases are not finished yet: %s", error, extra={"users": len(begun)})
        else:
            _log.info("whether erases were interrupted is asked again at the next opening: %s", error)
        return 0
    if begun:
        _log.info("interrupted erases are finished", extra={"users": len(begun)})
    return len(begun)


def _note(hook: Below, user_ids: Sequence[str]) -> bool:
    """Note that an erase begins; where the database does not answer, a layer above remembers what it is asked to do."""
    try:
        return bool(hook.note_erasures(user_ids=user_ids))
    except StorageUnavailableError:
        return False


def _joined(report: TierReport, settled: TierReport) -> TierReport:
    if report.tier != settled.tier:
        return report
    return attrs.evolve(
        report,
        rewritten=(*report.rewritten, *settled.rewritten),
        remaining=(*report.remaining, *settled.remaining),
    )
