"""What a process holds of users beside a store, which an erase has to reach as well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from weakref import WeakMethod

from whisper_persistence.validation import validate_ids

T = TypeVar("T")


class Forgetters:
    """Whoever keeps something of users at hand, told when they are erased; nobody is kept alive by being known here."""

    def __init__(self) -> None:
        """Begin knowing nobody."""
        self._known: list[WeakMethod[Callable[[str], object]]] = []

    def add(self, forget: Callable[[str], object]) -> None:
        """Have a bound method called with the id of each user who is erased, on the event loop that erases."""
        self._known = [known for known in self._known if known() is not None]
        self._known.append(WeakMethod(forget))

    def forget(self, user_ids: Sequence[str]) -> None:
        """Have users forgotten by all who are known here."""
        for forget in [forget for known in self._known if (forget := known()) is not None]:
            for user_id in user_ids:
                forget(user_id)

    async def around(self, user_ids: Sequence[str], erase: Callable[[Sequence[str]], Awaitable[T]]) -> T:
        """Erase users, have them forgotten, and return what erasing answers.

        They are forgotten before, so that nothing that waits is sent meanwhile, and after, since they may have been
        read meanwhile.

        Raises:
            ValidationError: what is given is no ids.
        """
        validate_ids("user_ids", user_ids)
        self.forget(user_ids)
        try:
            return await erase(user_ids)
        finally:
            self.forget(user_ids)
