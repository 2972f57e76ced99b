"""What is known about a user's stored state: three states, never two."""

from __future__ import annotations

import enum


class Knowledge(enum.Enum):
    """Whether memory knows what the store holds about a user."""

    LOADED = "loaded"
    """Read from the store."""
    ABSENT = "absent"
    """The store answered that it holds nothing."""
    UNKNOWN = "unknown"
    """Not asked yet, or the store did not answer: it may hold anything."""
