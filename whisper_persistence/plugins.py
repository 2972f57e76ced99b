"""A chain of drivers: the order of the settings is selection, override, layering and fallback, all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs
import pluggy

from whisper_persistence.discovery import DriverSpec
from whisper_persistence.errors import BrokenDriverError, ConfigurationError, PersistenceError
from whisper_persistence.guarding import is_wish, let_escape
from whisper_persistence.hook_manager import HookManager
from whisper_persistence.hookspecs import PROJECT, Below
from whisper_persistence.installed import missing_library
from whisper_persistence.unopened import Unopened

if TYPE_CHECKING:
    from whisper_persistence.records import TierHealth

T = TypeVar("T", bound=BaseException)
_NONE: Final[Mapping[str, object]] = {}
_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Chain:
    """Drivers in the order of the settings, each knowing what is below it.

    Attributes:
        drivers: the drivers, by name, the first asked first.
    """

    drivers: dict[str, object]
    _manager: HookManager
    _observers: list[object]
    _opened: list[object] = attrs.field(factory=list[object])
    _places: dict[int, int] = attrs.field(factory=dict[int, int])
    _unopened: Unopened = attrs.field(init=False)

    @classmethod
    def build(cls, drivers: Sequence[DriverSpec], observers: Sequence[DriverSpec] = ()) -> Chain:
        """Return a chain of new drivers, not yet open.

        Raises:
            ConfigurationError: the list is empty, names a driver twice, or `build_driver` refuses one.
        """
        names = [spec.name for spec in (*drivers, *observers)]
        if not drivers:
            raise ConfigurationError("no driver is named: set drivers to at least one name, such as sqlite")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigurationError(f"driver {twice!r} is named twice: name it once")
        manager = HookManager(PROJECT)
        built = {spec.name: manager.add(spec) for spec in reversed(drivers)}
        watching = [manager.add(spec) for spec in reversed(observers)]
        manager.check(watching)
        return cls(dict(reversed(built.items())), manager, watching)

    @classmethod
    def of(cls, drivers: Mapping[str, object], observers: Mapping[str, object] = _NONE) -> Chain:
        """Return a chain of drivers and observers that are built already, the first asked first, as tests need it.

        Raises:
            ConfigurationError: a driver implements a hook that there is not.
        """
        manager = HookManager(PROJECT)
        for name, plugin in (*reversed(list(drivers.items())), *reversed(list(observers.items()))):
            manager.register(plugin, name)
        watching = list(observers.values())[::-1]
        manager.check(watching)
        return cls(dict(drivers), manager, watching)

    @staticmethod
    def required(given: object) -> Chain:
        """Return the chain that a store was given.

        Raises:
            ConfigurationError: it was given something else, such as a URL or a path.
        """
        if isinstance(given, Chain):
            return given
        raise ConfigurationError(f"a store takes a chain, not a {type(given).__name__}: use from_settings(url=...)")

    @property
    def hook(self) -> Below:
        """Every hook of the whole chain."""
        return cast("Below", self._manager.hook)

    def starting_at(self, name: str) -> Below:
        """Return every hook of one driver and of those after it."""
        order = list(self.drivers)
        above = [self.drivers[other] for other in order[: order.index(name)]]
        return cast("Below", _Below(self._manager, [*above, *self._observers], self._unopened))

    def has(self, name: str, hook: str) -> bool:
        """Say whether a driver has a hook itself."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return any(impl.plugin is self.drivers[name] for impl in caller.get_hookimpls())

    def open(self, namespace: str) -> None:
        """Open every driver from the bottom up; after an error, close those that were opened.

        One that cannot be opened now, below one that bears outages, waits with those between them.
        """
        order = list(self.drivers.values())
        self._places = {id(driver): place for place, driver in enumerate((*reversed(order), *self._observers))}
        unopened = self._unopened = Unopened(self._manager.impls, partial(self._open_one, namespace=namespace))
        try:
            for driver in (*reversed(order), *self._observers):
                above = order[: order.index(driver) + 1] if driver in order else order
                below = _Below(self._manager, [*above, *self._observers], unopened, driver)
                borne = any(getattr(other, "bears_outages", False) for other in above if other is not driver)
                unopened.open(driver, below) if borne and driver in order else self._open_one(driver, below, namespace)
        except BaseException:
            self.close(quietly=True)
            raise

    def _open_one(self, driver: object, below: Any, namespace: str) -> None:
        """Open one driver, and close it again where that fails; the lower ones are closed after it, whenever."""
        try:
            self._call(driver, "open", below=below, namespace=namespace)
        except BaseException as error:
            self._close_one(driver)
            if isinstance(error, ImportError):
                raise missing_library(str(self._manager.get_name(driver)), error) from None
            raise self._as_ours(driver, "open", error) from None
        self._opened.append(driver)
        self._opened.sort(key=lambda opened: self._places[id(opened)])

    def _close_one(self, driver: object) -> Exception | None:
        """Close one driver, and return what it raised."""
        try:
            self._call(driver, "close")
        except Exception as error:
            name = self._manager.get_name(driver)
            _log.warning("driver %r did not close cleanly: %s", name, type(error).__name__)
            return self._as_ours(driver, "close", error)
        return None

    def _as_ours(self, driver: object, hook: str, error: T) -> T | BrokenDriverError:
        """Return an error of ours, or a wish of the program, as it is, and any other as a mistake of the driver."""
        if isinstance(error, PersistenceError) or is_wish(error):
            return error
        return self._manager.watched[str(self._manager.get_name(driver))].mistake(hook, let_escape(error))

    def close(self, *, quietly: bool = False) -> None:
        """Close every open driver from the top down, also when one of them raises; then raise the first error."""
        first: Exception | None = None
        while self._opened:
            error = self._close_one(self._opened.pop())
            first = first or error
        if first and not quietly:
            raise first

    def told(self, reports: Sequence[TierHealth]) -> tuple[TierHealth, ...]:
        """Return the reports of all tiers with the mistakes that drivers and observers made."""
        for watched in self._manager.watched.values():
            reports = watched.told(reports)
        return tuple(reports)

    def limit(self, attribute: str) -> int | None:
        """Return the smallest number that a driver declares for this attribute, or ``None`` where none does."""
        declared = (getattr(driver, attribute, None) for driver in self.drivers.values())
        return min((number for number in declared if number is not None), default=None)

    def _call(self, driver: object, hook: str, **arguments: Any) -> None:
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not driver]
        self._manager.subset_hook_caller(hook, others)(**arguments)


class _Below:
    """Every hook of the drivers after one; callers are made on first use and kept."""

    def __init__(self, manager: HookManager, excluded: list[object], unopened: Unopened, owner: object = None) -> None:
        self._manager, self._owner = manager, owner
        self._excluded = excluded
        self.unopened = unopened.__bool__
        self.reopen = unopened.reopen

    def monitor(self, before: Callable[..., None], after: Callable[..., None]) -> Callable[[], None]:
        telling = (self._manager.watcher(self._owner).telling(*each) for each in (("before", before), ("after", after)))
        return self._manager.add_hookcall_monitoring(*telling)

    def __getattr__(self, hook: str) -> Any:
        caller = self._manager.calling(hook, self._excluded)
        setattr(self, hook, caller)
        return caller
