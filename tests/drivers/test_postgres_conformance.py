"""The postgres driver, on a real server, against the whole suite."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SQL_CAPABILITIES, DriverConformance


@pytest.mark.usefixtures("postgres_in_environment")
class TestPostgres(DriverConformance):
    """Each path is a namespace of one database, so that a store opened again at a path finds what was there."""

    capabilities = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        chain = Chain.build([DriverSpec("postgres", {"url": os.environ["CONFORMANCE_POSTGRES_URL"]})])
        return Store(chain, f"{place}-{namespace.strip()}")
