"""Where the tools of the fault suite are found; servers that a test may stop, freeze and cut off."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_tools.machine import Machine
from fault_tools.servers import Postgres, private_postgres_server, proxied
from fault_tools.stores import Opener


@pytest.fixture(scope="session")
def fault_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the fault suite's own."""
    with private_postgres_server() as server:
        yield server


@pytest.fixture
def postgres_place(fault_postgres: Postgres) -> Iterator[Any]:
    """A new database of that server, behind a proxy that can fail in every way."""
    with proxied(fault_postgres) as place:
        yield place


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that no other program's writes make slow: in memory, where the machine has such a place."""
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory, prefix="whisper-faults-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A clock that does not count what others take of the machine."""
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """A function that opens stores over a net, all closed after the test."""
    opener = Opener(tmp_path / "journals")
    yield opener
    opener.close()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """A function that has another one called at every named step of the net."""
    from whisper_persistence_drivers.net import steps as named

    return lambda at: monkeypatch.setattr(named, "at", at)
