"""Trying again what another transaction spoilt, within bounds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from whisper_persistence.errors import StorageBusyError, StorageRefusedError
from whisper_persistence_drivers.sql.database import ConstraintError, TransactionLostError

T = TypeVar("T")

_ATTEMPTS: Final = 5
#: Who lost against another transaction waits up to so many seconds for it to end, and twice as long each time after.
_PAUSE: Final = 0.01


def retry(attempt: Callable[[bool], T], tier: str) -> T:
    """Attempt hopefully, and where a constraint objects or a writer was in the way, again and carefully.

    Args:
        attempt: reads or writes, in a transaction of its own; told whether to be careful.
        tier: the name of the database, for the errors.

    Raises:
        StorageRefusedError: a constraint objects also to the careful attempts.
        StorageBusyError: another transaction was in the way each time.
    """
    last: Exception | None = None
    for number in range(_ATTEMPTS):
        try:
            return attempt(number > 0)
        except (ConstraintError, TransactionLostError) as error:
            last = error
            _let_pass(error, number)
    if isinstance(last, ConstraintError):
        raise StorageRefusedError(f"the {tier} database refuses what is written ({last})")
    raise StorageBusyError(f"the {tier} database was too busy with other writers ({last}): try again")


def _let_pass(error: Exception, number: int) -> None:
    """Wait for the transaction that won, at random, so that two losers do not meet again."""
    if isinstance(error, TransactionLostError):
        time.sleep(random.uniform(0, _PAUSE * 2**number))  # noqa: S311
