"""What counts as an answer of a chain of drivers."""

from __future__ import annotations

from typing import Final, TypeVar

from whisper_persistence.errors import NotSupportedError

#: What to do about a hook that a driver answers only where it is told to.
_ADVICE: Final = {
    "search_messages": "set search = true in the options of sqlite or postgres, or ask for one user or conversation"
}

T = TypeVar("T")


def answered(hook: str, answer: T | None) -> T:
    """Return a hook's answer.

    Raises:
        NotSupportedError: no driver answered.
    """
    if answer is None:
        advice = _ADVICE.get(hook, "add one that does to the drivers setting")
        raise NotSupportedError(f"no driver of the chain answers {hook}: {advice}")
    return answer
