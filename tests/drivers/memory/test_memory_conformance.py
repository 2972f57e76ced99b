"""The memory-fallback driver, standing alone, against the whole suite."""

from __future__ import annotations

from pathlib import Path

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import RECORD_CAPABILITIES, DriverConformance


class TestMemoryFallback(DriverConformance):
    capabilities = RECORD_CAPABILITIES | {"search", "replays"}

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return Store(Chain.build([DriverSpec("memory-fallback")]), namespace)
