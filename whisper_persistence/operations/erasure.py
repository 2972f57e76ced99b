"""Erasing users in every tier, reading every tier again, and a receipt that says what was done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from whisper_persistence.codec import encode
from whisper_persistence.errors import ConfigurationError, NotSupportedError
from whisper_persistence.operations.erasure_check import TierCheck, check_tiers
from whisper_persistence.operations.reading import Report, conversations_of
from whisper_persistence.plugins import Chain
from whisper_persistence.records import TierReport, Tombstone, fields
from whisper_persistence.records.fields import Moment
from whisper_persistence.store import Store

_FORMAT: Final = "whisper-persistence-erasure"
_NOT_BY_RECEIPT: Final = "it does not erase by receipt: if it was restored as well, erase the users by their ids"


@attrs.frozen
class ErasureReceipt:
    """What an erase did, tier by tier, and what was found when every tier was read again. It names nobody.

    Attributes:
        namespace: the bot or character whose memory it was.
        users: how many users were to be erased.
        tiers: what each tier did, what it wrote anew, and what lies outside its reach.
        checks: what reading each tier again found.
        erased_at: when.
        format: says what the file is.
    """

    namespace: str
    users: int
    tiers: tuple[TierReport, ...]
    checks: tuple[TierCheck, ...]
    erased_at: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    format: str = _FORMAT

    def is_complete(self) -> bool:
        """Return whether every tier could be read again, and nothing of the users was found in any."""
        return all(check.is_clean() for check in self.checks)

    def tombstones(self) -> tuple[Tombstone, ...]:
        """Return what keeps an older backup from bringing the users back."""
        return tuple(tombstone for tier in self.tiers for tombstone in tier.tombstones)

    def save(self, path: Path) -> None:
        """Write the receipt to a new file, which only its owner may read.

        Raises:
            ConfigurationError: the file is there already, or cannot be written.
        """
        text = msgspec.json.format(encode(self), indent=2)
        try:
            with open(path, "x", encoding="utf-8", opener=_privately) as file:
                file.write(f"{text}\n")
        except OSError as error:
            raise ConfigurationError(
                f"the receipt {path} cannot be written ({error.strerror}): name a new file"
            ) from None

    @classmethod
    def load(cls, path: Path) -> ErasureReceipt:
        """Return the receipt that a file holds.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            receipt = msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise ConfigurationError(
                f"the receipt {path} cannot be read ({error.strerror}): name another file"
            ) from None
        except msgspec.MsgspecError:
            receipt = None
        if receipt is None or receipt.format != _FORMAT:
            raise ConfigurationError(f"{path} is not the receipt of an erase: name another file")
        return receipt


def erase_users(
    store: Store,
    user_ids: Sequence[str],
    report: Report,
    erased: Callable[[ErasureReceipt], None] = lambda receipt: None,
) -> ErasureReceipt:
    """Erase users in every tier, and read every tier again.

    Args:
        store: where from.
        user_ids: whom; at most `whisper_persistence.records.checks.MAX_BATCH`.
        report: called after each page that is read.
        erased: given the receipt as it is before the tiers are read again, which may take long and be interrupted.
    """
    wanted = frozenset(user_ids)
    conversations = conversations_of(store, sorted(wanted), report)
    tiers = store.erase_users(list(dict.fromkeys(user_ids)))
    unread = tuple(TierCheck(name, problem="it was not read again") for name in store.chain.drivers)
    receipt = ErasureReceipt(store.namespace, len(wanted), tiers, unread)
    erased(receipt)
    return attrs.evolve(receipt, checks=check_tiers(store, sorted(wanted), conversations, report))


def erase_again(store: Store, receipts: Iterable[ErasureReceipt]) -> tuple[TierReport, ...]:
    """Erase once more whom receipts are about, as far as what is kept of them is older than that erase.

    Returns:
        One report per tier; those of tiers that receipts do not reach come last, and say so.

    Raises:
        ConfigurationError: a receipt is of another namespace than the store.
        NotSupportedError: no driver of the chain can tell whom the receipts are about.
    """
    told = list(receipts)
    for receipt in told:
        if receipt.namespace != store.namespace:
            raise ConfigurationError(
                f"a receipt is of namespace {receipt.namespace!r} and the memory was opened in {store.namespace!r}, "
                "where nothing would be erased: name the receipt's namespace"
            )
    tombstones = [tombstone for receipt in told for tombstone in receipt.tombstones()]
    reports = store.chain.hook.erase_again(tombstones=tombstones)
    if reports is None:
        raise NotSupportedError("no driver of the chain erases by receipt: erase the users by their ids")
    return (*reports, *_out_of_reach(store.chain))


def _out_of_reach(chain: Chain) -> Iterator[TierReport]:
    """Yield a report of each driver that shows records and does not erase by receipt, unless it hands that on."""
    for name, driver in chain.drivers.items():
        erases = chain.has(name, "erase_again") or getattr(driver, "bears_outages", False)
        if chain.has(name, "scan") and chain.has(name, "erase_users") and not erases:
            yield TierReport(name, remaining=(_NOT_BY_RECEIPT,))


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
