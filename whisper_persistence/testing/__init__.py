"""The tests that every driver must pass, for the drivers of this package and for anyone's.

Subclass `DriverConformance` in a test file of your driver, say how a store is opened, and run pytest::

    from pathlib import Path

    from whisper_persistence import Store
    from whisper_persistence.discovery import DriverSpec
    from whisper_persistence.plugins import Chain
    from whisper_persistence.testing import DriverConformance


    class TestMyDriver(DriverConformance):
        capabilities = frozenset({"conversations", "durable"})

        def open_store(self, path: Path, namespace: str = "default") -> Store:
            return Store(Chain.build([DriverSpec("my-driver", {"path": str(path / "data")})]), namespace)

``open_store`` is called again with the same path for a restart, and with other namespaces on the same path. What a
driver may claim is listed in `CAPABILITIES`; at least one subject (strategies, statistics, conversations) must be
claimed. What is claimed is tested; what is not claimed must really be absent: its hooks raise `NotSupportedError`, and
a driver that does not claim ``durable`` starts empty. A summary after the run names both.

`DriverConformance` includes a state machine that compares any sequence of hooks with `ModelDriver`, a naive reference.
It is the same at every run; ``WHISPER_PERSISTENCE_EXAMPLES`` and ``WHISPER_PERSISTENCE_STEPS`` make it longer, and
``WHISPER_PERSISTENCE_SEED`` makes it another. ``WHISPER_PERSISTENCE_SHRINK=0`` reports the first sequence that differs,
sooner, instead of the shortest.

For a bot's own tests: `Switch` is a driver to put above another, which counts calls and fails on command.

`whisper_persistence.testing.broken` has drivers broken on purpose, each with the name of the test that is meant to
catch it.
"""

import pkgutil
import sys

import pytest

_modules = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
pytest.register_assert_rewrite(*(name for name in _modules if name not in sys.modules))

from whisper_persistence.testing.base import CAPABILITIES, Conformance, needs  # noqa: E402
from whisper_persistence.testing.model import ModelDriver, Space  # noqa: E402
from whisper_persistence.testing.suite import DriverConformance  # noqa: E402
from whisper_persistence.testing.switch import Switch  # noqa: E402

__all__ = ["CAPABILITIES", "Conformance", "DriverConformance", "ModelDriver", "Space", "Switch", "needs"]
