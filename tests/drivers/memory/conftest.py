"""The store of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from whisper_persistence import Store

from .remembering import open_store


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store() as opened:
        yield opened
