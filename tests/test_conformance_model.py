"""The suite and its reference agree."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from whisper_persistence import Store
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import DriverConformance, ModelDriver, Space


class TestModel(DriverConformance):
    capabilities = frozenset(
        {"strategies", "statistics", "conversations", "revisions", "scan", "erase", "aggregate", "durable"}
    )
    kept: ClassVar[dict[Path, dict[str, Space]]] = {}

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return Store(Chain.of({"model": ModelDriver(self.kept.setdefault(path, {}))}), namespace)
