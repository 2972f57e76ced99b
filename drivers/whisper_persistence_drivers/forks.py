"""What a forked child must not carry on with: locks that nobody lets go any more, threads, processes, connections."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class BeginsAnew(Protocol):
    """Something of which a forked child needs its own."""

    def begin_anew(self) -> None:
        """In a forked child: let go of what is the parent's without touching it, and be ready again."""
        ...


_watched: WeakSet[BeginsAnew] = WeakSet()


def watch(held: BeginsAnew) -> None:
    """Have something begin anew in every forked child, for as long as it lives."""
    _watched.add(held)


def forget(held: BeginsAnew) -> None:
    """Leave something alone in children that are forked from now on."""
    _watched.discard(held)


def _after_fork_in_child() -> None:
    for held in list(_watched):
        held.begin_anew()


os.register_at_fork(after_in_child=_after_fork_in_child)
