"""No test of a store leaves a thread behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .layers import PATIENCE, ours


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """After each test every thread of a store has ended, or is ending."""
    yield
    for thread in ours():
        thread.join(PATIENCE)

    assert not ours()
