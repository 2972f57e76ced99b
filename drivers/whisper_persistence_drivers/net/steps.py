"""The named steps between which a process may be stopped; tests stop it there."""

from __future__ import annotations

from collections.abc import Callable


def _go_on(step: str) -> None:
    """Do nothing."""


#: Called at each step with its name; tests put something here that ends the process, or waits.
at: Callable[[str], None] = _go_on


def reached(step: str) -> None:
    """Say that a step is reached."""
    at(step)
