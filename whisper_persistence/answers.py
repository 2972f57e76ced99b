"""What counts as an answer of a chain of drivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from whisper_persistence.errors import BrokenDriverError, NotSupportedError
from whisper_persistence.records import Receipt

#: What to do about a hook that a driver answers only where it is told to.
_ADVICE: Final = {
    "search_messages": "set search = true in the options of sqlite or postgres, or ask for one user or conversation"
}

T = TypeVar("T")


def answered(hook: str, answer: T | None) -> T:
    """Return a hook's answer.

    Raises:
        NotSupportedError: there is none.
    """
    if answer is None:
        advice = _ADVICE.get(hook, "add one that does to the drivers setting")
        raise NotSupportedError(f"no driver of the chain answers {hook}: {advice}")
    return answer


def receipts(hook: str, items: Sequence[Any], answer: Any) -> Sequence[Receipt]:
    """Return a writing hook's answer.

    Raises:
        BrokenDriverError: it is not one receipt for each item.
        NotSupportedError: there is none.
    """
    found = answered(hook, answer)
    told = cast("Sequence[Any]", found) if isinstance(found, Sequence) else ()
    if len(told) != len(items) or not all(isinstance(receipt, Receipt) for receipt in told[-1:]):
        raise BrokenDriverError(
            f"{hook} was not answered with one receipt for each of {len(items)} items, so what was kept is unknown: "
            "run the conformance suite on the drivers of the chain"
        )
    return told


def loaded(hook: str, answer: Any) -> Mapping[Any, Any]:
    """Return a loading hook's answer.

    Raises:
        BrokenDriverError: it is no mapping.
        NotSupportedError: there is none.
    """
    found = answered(hook, answer)
    if isinstance(found, Mapping):
        return cast("Mapping[Any, Any]", found)
    raise BrokenDriverError(f"{hook} was not answered with a mapping: run the conformance suite on the chain's drivers")
