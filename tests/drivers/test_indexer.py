"""The thread that feeds the text index, whatever its steps do."""

from __future__ import annotations

import threading
import time

from whisper_persistence_drivers.sql import indexer
from whisper_persistence_drivers.sql.indexer import Indexer


def test_an_error_that_nobody_thought_of_does_not_end_the_thread(monkeypatch):
    monkeypatch.setattr(indexer, "_PAUSE", 0.001)
    reached = threading.Event()
    failures = iter([RuntimeError("a"), ValueError("b"), None])

    def step() -> int:
        error = next(failures, None)
        if error is not None:
            raise error
        reached.set()
        return 0

    feeding = Indexer(step, "test")
    try:
        deadline = time.monotonic() + 60.0
        while not reached.is_set() and time.monotonic() < deadline:
            feeding.wake()
            reached.wait(0.05)
    finally:
        feeding.close()

    assert reached.is_set()
    assert feeding.failed == 0
