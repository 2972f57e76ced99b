"""What the net of the preset ``desktop`` costs over the sqlite driver alone."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

MEASURE: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "desktop_net.py"))


@pytest.mark.parametrize(
    ("rounds", "most"),
    [(40, 1.4), pytest.param(3_000, 1.12, marks=pytest.mark.long)],  # the bar is a tenth; the rest is for the noise
)
def test_the_net_over_a_file_costs_hardly_more_than_the_file(tmp_path: Path, rounds: int, most: float) -> None:
    found = MEASURE["ratios"](tmp_path, rounds)

    assert list(found) == ["append", "last 20", "load", "save"]
    assert {name: used for name, (used, _) in found.items() if used > most} == {}
