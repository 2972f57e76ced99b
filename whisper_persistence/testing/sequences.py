"""Any sequence of hooks, against the reference."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

from whisper_persistence.store import Store
from whisper_persistence.testing.base import Conformance
from whisper_persistence.testing.machine import run_machine


class SequenceConformance(Conformance):
    """That no sequence of hooks leads away from the reference."""

    def test_any_sequence_of_hooks_equals_the_reference(self, path: Path) -> None:
        numbers = count()

        def fresh() -> Callable[[], Store]:
            place = path / f"example {next(numbers)}"
            place.mkdir()
            return lambda: self.open_store(place)

        run_machine(self.capabilities, fresh)
