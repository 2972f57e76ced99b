"""The ``erase`` command: a progress bar around the work, and what each tier says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from whisper_persistence import codec
from whisper_persistence.cli.progress import show_progress
from whisper_persistence.errors import PersistenceError
from whisper_persistence.operations import ErasureReceipt, erase_again, erase_users
from whisper_persistence.records import TierReport
from whisper_persistence.store import Store


def count_users(users: Sequence[str]) -> str:
    """Return how many users there are, in words."""
    count = len(set(users))
    return "one user" if count == 1 else f"{count:,} users"


def run_erase(store: Store, users: Sequence[str], receipt: Path | None, *, shown: bool) -> ErasureReceipt:
    """Erase users, with a bar where that is wanted, and save the receipt where that is wanted.

    It is saved as soon as they are erased, and again once every tier was read again.

    Raises:
        ConfigurationError: the receipt is a file that is there already; before anything is erased.
    """

    def keep(written: ErasureReceipt) -> None:
        if receipt:
            unfinished = receipt.with_name(f"{receipt.name}.unfinished")
            unfinished.unlink(missing_ok=True)
            written.save(unfinished)
            unfinished.replace(receipt)

    if receipt:
        ErasureReceipt(store.namespace, 0, (), ()).save(receipt)
        receipt.unlink()
    with show_progress(shown) as report:
        written = erase_users(store, users, report, keep)
    keep(written)
    return written


def run_again(store: Store, receipts: Iterable[Path]) -> tuple[TierReport, ...]:
    """Erase once more whom receipts are about."""
    return erase_again(store, [ErasureReceipt.load(path) for path in receipts])


def describe_erase(receipt: ErasureReceipt) -> dict[str, Any]:
    """Return a receipt as JSON data."""
    return {"complete": receipt.is_complete(), **codec.to_mapping(receipt)}


def print_erase(receipt: ErasureReceipt) -> None:
    """Print what each tier did, what remains, and whether every tier was read again and found empty."""
    print_tiers(receipt.tiers)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for check in receipt.checks:
        found = "nothing is left" if check.is_clean() else check.problem or f"still there: {codec.encode(check.found)}"
        console.print(f"{check.tier} was read again: {found}")


def print_tiers(tiers: Iterable[TierReport]) -> None:
    """Print what each tier removed, wrote anew and cannot reach."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for tier in tiers:
        removed = ", ".join(f"{count:,} {kind}" for kind, count in tier.counts.items() if count) or "nothing"
        console.print(f"{tier.tier}: {removed} removed")
        if tier.rewritten:
            console.print(f"  written anew: {', '.join(tier.rewritten)}")
        for remaining in tier.remaining:
            console.print(f"  out of reach: {remaining}")


def check_complete(receipt: ErasureReceipt) -> None:
    """Refuse to call an erase done that is not.

    Raises:
        PersistenceError: something is left in a tier, or a tier could not be read.
    """
    left = [check.tier for check in receipt.checks if not check.is_clean()]
    if left:
        raise PersistenceError(f"the erase is not complete in {', '.join(left)}: see to it and erase again")
