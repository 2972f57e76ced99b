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
driver may claim is listed in `CAPABILITIES` (and what most claim in `SUBJECT_CAPABILITIES`, `RECORD_CAPABILITIES` and
`SQL_CAPABILITIES`); at least one subject (strategies, statistics, conversations) must be
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

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whisper_persistence.testing.base import Conformance, needs
    from whisper_persistence.testing.capabilities import (
        CAPABILITIES,
        RECORD_CAPABILITIES,
        SQL_CAPABILITIES,
        SUBJECT_CAPABILITIES,
    )
    from whisper_persistence.testing.model import ModelDriver, Space
    from whisper_persistence.testing.suite import DriverConformance
    from whisper_persistence.testing.switch import Switch

__all__ = [
    "CAPABILITIES",
    "RECORD_CAPABILITIES",
    "SQL_CAPABILITIES",
    "SUBJECT_CAPABILITIES",
    "Conformance",
    "DriverConformance",
    "ModelDriver",
    "Space",
    "Switch",
    "needs",
]

_MODULES = {
    "Conformance": "base",
    "needs": "base",
    "DriverConformance": "suite",
    "ModelDriver": "model",
    "Space": "model",
    "Switch": "switch",
}

if "pytest" in sys.modules:  # a program that a test starts wants samples, and not to wait for pytest and hypothesis
    import pytest

    _modules = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    pytest.register_assert_rewrite(*(name for name in _modules if name not in sys.modules))


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'capabilities')}")
    return getattr(module, name)
