"""The contract, with every private word sealed, over SQLite and over the store in memory."""

from __future__ import annotations

from pathlib import Path

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import RECORD_CAPABILITIES, DriverConformance

KEY = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="


class TestOverSqlite(DriverConformance):
    capabilities = RECORD_CAPABILITIES - {"aggregate"} | {"search", "durable", "processes"}

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        encryption = DriverSpec("encryption", {"master_keys": KEY, "key_store": str(path / "keys.db")})
        return Store(Chain.build([encryption, DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)
