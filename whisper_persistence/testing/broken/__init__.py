"""Drivers broken on purpose, each with the conformance test that is meant to catch it.

Each stands above a sound driver and spoils what passes through it, so it needs no driver of its own.
"""

from whisper_persistence.testing.broken import expiry, memories, questions, serving, strategies, talk, upkeep, windows
from whisper_persistence.testing.broken.breaking import BROKEN_DRIVERS, Breaker, BrokenDriver, break_chain

__all__ = [
    "BROKEN_DRIVERS",
    "Breaker",
    "BrokenDriver",
    "break_chain",
    "expiry",
    "memories",
    "questions",
    "serving",
    "strategies",
    "talk",
    "upkeep",
    "windows",
]
