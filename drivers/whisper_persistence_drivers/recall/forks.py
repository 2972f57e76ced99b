"""What a forked child must let go of: processes and locks that are its parent's."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Abandons(Protocol):
    """Something that must not be carried into a forked child."""

    def abandon(self) -> None:
        """Let go, without touching what is the parent's."""
        ...


_watched: WeakSet[Abandons] = WeakSet()


def watch(held: Abandons) -> None:
    """Have something let go after a fork, in the child."""
    _watched.add(held)


def _after_fork_in_child() -> None:
    for held in list(_watched):
        held.abandon()
    _watched.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
