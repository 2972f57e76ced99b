"""A chain of drivers: the order of the settings is selection, override, layering and fallback, all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs
import pluggy

from whisper_persistence.callers import Caller
from whisper_persistence.discovery import DriverSpec, build_driver, first_line
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.hookspecs import KINDS, PROJECT, SPECS, SUBJECTS, Below
from whisper_persistence.waiting import Waiting

if TYPE_CHECKING:
    from whisper_persistence.records import Question

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Chain:
    """Drivers in the order of the settings, each knowing what is below it.

    Attributes:
        drivers: the drivers, by name, the first asked first.
    """

    drivers: dict[str, object]
    _manager: _Manager
    _observers: list[object]
    _opened: list[object] = attrs.field(factory=list[object])
    _places: dict[int, int] = attrs.field(factory=dict[int, int])
    _waiting: Waiting = attrs.field(init=False)

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
        manager = _Manager(PROJECT)
        built = {spec.name: manager.add(spec) for spec in reversed(drivers)}
        watching = [manager.add(spec) for spec in reversed(observers)]
        manager.check(watching)
        return cls(dict(reversed(built.items())), manager, watching)

    @classmethod
    def of(cls, drivers: Mapping[str, object]) -> Chain:
        """Return a chain of drivers that are built already, the first asked first, as tests need it.

        Raises:
            ConfigurationError: a driver implements a hook that there is not.
        """
        manager = _Manager(PROJECT)
        for name, driver in reversed(list(drivers.items())):
            manager.register(driver, name)
        manager.check([])
        return cls(dict(drivers), manager, [])

    @property
    def hook(self) -> Below:
        """Every hook of the whole chain."""
        return cast("Below", self._manager.hook)

    def starting_at(self, name: str) -> Below:
        """Return every hook of one driver and of those after it."""
        order = list(self.drivers)
        above = [self.drivers[other] for other in order[: order.index(name)]]
        return cast("Below", _Below(self._manager, [*above, *self._observers], self._waiting))

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
        waiting = self._waiting = Waiting(self._manager.impls, partial(self._open_one, namespace=namespace))
        try:
            for driver in (*reversed(order), *self._observers):
                above = order[: order.index(driver) + 1] if driver in order else order
                below = _Below(self._manager, [*above, *self._observers], waiting)
                borne = any(getattr(other, "bears_outages", False) for other in above if other is not driver)
                waiting.open(driver, below) if borne and driver in order else self._open_one(driver, below, namespace)
        except BaseException:
            self.close(quietly=True)
            raise

    def _open_one(self, driver: object, below: Any, namespace: str) -> None:
        """Open one driver, and close it again where that fails; the lower ones are closed after it, whenever."""
        try:
            self._call(driver, "open", below=below, namespace=namespace)
        except BaseException:
            self._close_quietly(driver)
            raise
        self._opened.append(driver)
        self._opened.sort(key=lambda opened: self._places[id(opened)])

    def _close_quietly(self, driver: object) -> None:
        try:
            self._call(driver, "close")
        except Exception as error:
            _log.warning("a driver did not close cleanly", extra={"error": type(error).__name__})

    def close(self, *, quietly: bool = False) -> None:
        """Close every open driver from the top down, also when one of them raises; then raise the first error."""
        errors: list[Exception] = []
        while self._opened:
            try:
                self._call(self._opened.pop(), "close")
            except Exception as error:
                errors.append(error)
                _log.warning("a driver did not close cleanly", extra={"error": type(error).__name__})
        if errors and not quietly:
            raise errors[0]

    def limit(self, attribute: str) -> int | None:
        """Return the smallest number that a driver declares for this attribute, or ``None`` where none does."""
        declared = (getattr(driver, attribute, None) for driver in self.drivers.values())
        return min((number for number in declared if number is not None), default=None)

    def _call(self, driver: object, hook: str, **arguments: Any) -> None:
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not driver]
        self._manager.subset_hook_caller(hook, others)(**arguments)


class _Below:
    """Every hook of the drivers after one; callers are made on first use and kept."""

    def __init__(self, manager: _Manager, excluded: list[object], waiting: Waiting) -> None:
        self._manager = manager
        self._excluded = excluded
        self.unopened = waiting.__bool__
        self.reopen = waiting.reopen

    def monitor(self, before: Callable[..., None], after: Callable[..., None]) -> Callable[[], None]:
        return self._manager.add_hookcall_monitoring(before, after)

    def __getattr__(self, hook: str) -> Any:
        caller = self._manager.calling(hook, self._excluded)
        setattr(self, hook, caller)
        return caller


class _Manager(pluggy.PluginManager):
    """pluggy's manager, which leaves out the hooks of subjects that a driver is not to keep."""

    def __init__(self, project: str) -> None:
        super().__init__(project)
        self._left_out: dict[int, frozenset[str]] = {}
        for spec in SPECS:
            self.add_hookspecs(spec)

    def calling(self, hook: str, excluded: list[object]) -> Caller:
        found = self.subset_hook_caller(hook, excluded)
        first = found.spec is not None and bool(found.spec.opts["firstresult"])
        return Caller(hook, found.spec, found.get_hookimpls(), self._hookexec, first)

    def add(self, spec: DriverSpec) -> object:
        driver = build_driver(spec)
        self._left_out[id(driver)] = _left_out(spec)
        try:
            self.register(driver, spec.name)
            self._restrict(driver, spec.subjects)
        except pluggy.PluginValidationError as error:
            problem = str(error).splitlines()[-1]
            raise ConfigurationError(
                f"driver {spec.name!r} does not fit the hooks of this version: {problem}"
            ) from None
        return driver

    def _restrict(self, driver: object, subjects: frozenset[str] | None) -> None:
        """Have a restricted driver answer scans and questions of its subjects only, and leave the rest to the next."""
        if subjects is None:
            return
        kinds = {kind for subject in subjects for kind in KINDS[subject]}
        for caller, restricted, known in (
            (self.hook.scan, _scan_of, kinds),
            (self.hook.aggregate, _aggregate_of, subjects),
        ):
            for impl in (impl for impl in caller.get_hookimpls() if impl.plugin is driver):
                impl.function = partial(restricted, known, impl.function)  # type: ignore[misc]  # pluggy has no other door

    def impls(self, driver: object) -> list[Any]:
        """Return what implements the hooks of a driver, but those that open and close it."""
        callers = (caller for caller in self.get_hookcallers(driver) or () if caller.name not in ("open", "close"))
        return [impl for caller in callers for impl in caller.get_hookimpls() if impl.plugin is driver]

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if name.startswith("__") or name in self._left_out.get(id(plugin), ()):
            return None
        return super().parse_hookimpl_opts(plugin, name)

    def check(self, observers: Sequence[object]) -> None:
        try:
            self.check_pending()
        except pluggy.PluginValidationError as error:
            raise ConfigurationError(f"a driver implements an unknown hook: {first_line(error)}") from None
        for name, plugin in self.list_name_plugin():
            self._check_role(name, plugin, plugin in observers)

    def _check_role(self, name: str, plugin: object, observes: bool) -> None:
        # A wrapper among the drivers would be called once a layer, and an observer that answers would answer first.
        for impl in self.impls(plugin):
            if impl.wrapper != observes:
                role, setting = ("wraps", "observers") if impl.wrapper else ("answers", "drivers")
                raise ConfigurationError(f"{name!r} {role} {impl.function.__name__}: name it in {setting}")


def _scan_of(kinds: AbstractSet[str], scan: Callable[..., Any], kind: str, cursor: str | None, limit: int) -> Any:
    return scan(kind, cursor, limit) if kind in kinds else None


def _aggregate_of(subjects: AbstractSet[str], aggregate: Callable[..., Any], question: Question[Any]) -> Any:
    wanted = SUBJECTS.keys() if question.subject is None else {question.subject}
    return aggregate(question) if wanted <= subjects else None


def _left_out(spec: DriverSpec) -> frozenset[str]:
    if spec.subjects is None:
        return frozenset()
    unknown = sorted(spec.subjects - SUBJECTS.keys())
    if unknown:
        raise ConfigurationError(f"driver {spec.name!r}: unknown subject {unknown[0]!r} (known: {', '.join(SUBJECTS)})")
    skipped = (specs for subject, specs in SUBJECTS.items() if subject not in spec.subjects)
    return frozenset(hook_names(spec_class for specs in skipped for spec_class in specs))


def hook_names(spec_classes: Iterable[type]) -> list[str]:
    """Return the names of the hooks that these spec classes declare, in order."""
    return [name for spec in spec_classes for name in vars(spec) if not name.startswith("_")]
