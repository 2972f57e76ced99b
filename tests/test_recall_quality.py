"""A user's whole conversation is searched well, by words and meaning together better than by either, offline."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "shared" / "data" / "locomo-dev.json"

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason=f"the LoCoMo conversations are not at {SOURCE}")


def test_answers_are_among_the_first_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    import recall_quality as quality

    talk = quality.read_talks(SOURCE)[0]
    with quality.opened(None) as store:
        counted = quality.measure(store, talk)
    del sys.modules["recall_quality"]
    shares = {way: [quality.share(counted, [talk], way, first) for first in quality.AT] for way in quality.WAYS}

    assert shares["both"][1] >= 0.82
    for way in ("words", "meaning"):
        assert all(both > alone for both, alone in zip(shares["both"], shares[way], strict=True))
