"""What every conformance class builds on: how a store is opened, and what its driver claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from whisper_persistence.store import Store
from whisper_persistence.testing import plugin
from whisper_persistence.testing.capabilities import CAPABILITIES

T = TypeVar("T", bound=Callable[..., Any])


def needs(*capabilities: str) -> Callable[[T], T]:
    """Mark a test, or every test of a class, as being about drivers that claim these capabilities."""

    def mark(target: T) -> T:
        tests: list[Any] = [target, *vars(target).values()]
        for test in tests:
            if getattr(test, "__name__", "").startswith("test_"):
                test.needs = needed(test) | set(capabilities)
        return target

    return mark


def needed(test: object) -> frozenset[str]:
    """Return the capabilities that a test is about."""
    capabilities: frozenset[str] = getattr(test, "needs", frozenset())
    return capabilities


class Conformance:
    """The base of every conformance class; a driver's test class supplies `open_store` and `capabilities`."""

    __test__: ClassVar[bool] = False
    #: What the driver claims: names of `CAPABILITIES`, such as `SQL_CAPABILITIES`.
    capabilities: ClassVar[frozenset[str]] = frozenset()
    #: The names of the tests that are not run because they are about other capabilities.
    left_out: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Let pytest collect what drivers claim, and no class that theirs are made of; refuse tests of one name."""
        super().__init_subclass__(**options)
        tests = [name for base in cls.__bases__ for name in dir(base) if name.startswith("test_")]
        hidden = {name for name in tests if len({getattr(base, name, None) for base in cls.__bases__} - {None}) > 1}
        if hidden - vars(cls).keys():
            raise TypeError(f"{cls.__name__} would hide one test behind another: rename {min(hidden)}")
        if "__test__" not in vars(cls):
            cls.__test__ = not cls.__module__.startswith("whisper_persistence.testing")
        if cls.__test__:
            cls._leave_out_what_is_not_claimed()

    @classmethod
    def _leave_out_what_is_not_claimed(cls) -> None:
        """Hide from pytest the tests of what this class does not claim; a class above it may have claimed less.

        The rest are run in the order of the suite, in which what is simple comes first.
        """
        inherited = [item for base in cls.__mro__ for item in vars(base).items()]
        tests: dict[str, Any] = {}
        for name, test in inherited:
            if name.startswith("test_") and test is not None:
                tests.setdefault(name, test)
        for name, test in tests.items():
            setattr(cls, name, test if needed(test) <= cls.capabilities else None)
        cls.left_out = tuple(sorted(name for name in tests if getattr(cls, name) is None))

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        """Return an open store whose data, if any, is at ``path``; called again with it, this is a restart."""
        raise NotImplementedError(f"{type(self).__name__} must define open_store(self, path, namespace)")

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """An empty folder."""
        return tmp_path

    @pytest.fixture
    def store(self, path: Path) -> Iterator[Store]:
        """An open store in an empty folder, closed after the test."""
        with self.open_store(path) as store:
            yield store

    def test_what_is_not_claimed_is_told(self, request: pytest.FixtureRequest) -> None:
        """Stand for all tests that are left out: pytest says how many, of what, as it does of any that is skipped."""
        missing = frozenset(CAPABILITIES) - self.capabilities
        plugin.report(request.config, type(self).__name__, self.capabilities, missing)
        if self.left_out:
            named = ", ".join(sorted(missing))
            pytest.skip(f"{type(self).__name__} does not claim {named}: {len(self.left_out)} tests left out")
