"""What the net of the preset ``desktop`` costs over the sqlite driver alone."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

MEASURE: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "desktop_net.py"))


@pytest.mark.parametrize(
    ("rounds", "times", "most"), [(40, 1, 1.4), pytest.param(1_000, 3, 1.1, marks=pytest.mark.long)]
)
def test_the_net_over_a_file_costs_hardly_more_than_the_file(
    tmp_path: Path, rounds: int, times: int, most: float
) -> None:
    found = [MEASURE["ratios"](tmp_path / f"{time}", rounds) for time in range(times)]
    least = {name: min(ratios[name][0] for ratios in found) for name in found[0]}

    assert list(least) == ["append", "last 20", "load", "save"]
    assert {name: used for name, used in least.items() if used > most} == {}
