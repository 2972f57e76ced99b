"""Attributes of somebody else's object, replaced so that each can be put back exactly."""

from __future__ import annotations

import logging
from typing import Any, Final, cast

import attrs

_ABSENT: Final = object()

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Patches:
    """What was replaced, in the order in which it was."""

    _done: list[tuple[Any, str, Any, Any]] = attrs.field(factory=list[tuple[Any, str, Any, Any]])

    def put(self, target: Any, name: str, value: Any) -> bool:
        """Set an attribute of one object, and return whether it could be set."""
        before = _own(target, name)
        try:
            setattr(target, name, value)
        except AttributeError:
            _log.warning("not adopted: the attribute cannot be set", extra={"attribute": name})
            return False
        self._done.append((target, name, before, value))
        return True

    def undo(self) -> None:
        """Put everything back, the newest first; what somebody else replaced since stays theirs."""
        while self._done:
            target, name, before, value = self._done.pop()
            if _own(target, name) is not value:
                _log.warning("left as it is: somebody else replaced it since", extra={"attribute": name})
            elif before is _ABSENT:
                delattr(target, name)
            else:
                setattr(target, name, before)


def _own(target: Any, name: str) -> Any:
    """Return what the object itself has under a name, apart from its class."""
    try:
        own = cast("dict[str, Any]", vars(target))
        return own.get(name, _ABSENT)
    except TypeError:  # it has slots only
        return getattr(target, name, _ABSENT)
