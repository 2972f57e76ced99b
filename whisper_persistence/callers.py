"""One hook of the drivers below one: found once, called often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from whisper_persistence.errors import BrokenDriverError


@attrs.frozen(eq=False)
class Caller:
    """Calls one hook of some drivers; pluggy's own callers of a subset look for them again at every call.

    Attributes:
        name: of the hook.
        spec: what pluggy knows of its specification.
    """

    name: str
    spec: Any
    _impls: list[Any]
    _execute: Callable[..., Any]
    _first: bool

    def __call__(self, *positional: object, **arguments: Any) -> Any:
        """Call the hook.

        Raises:
            BrokenDriverError: the driver that calls does not name the arguments, which type checkers let pass.
        """
        if positional:
            raise BrokenDriverError(f"a driver asked {self.name} below without naming its arguments: name each")
        return self._execute(self.name, self._impls, arguments, self._first)

    def get_hookimpls(self) -> list[Any]:
        """Return what implements it, the last to be called first."""
        return list(self._impls)
