"""The hooks of the drivers of one chain: which driver answers which, and whether it fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import pluggy

from whisper_persistence.callers import Caller
from whisper_persistence.discovery import DriverSpec, build_driver, first_line
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.guarding import Turn, Watched, guarded, guarded_health
from whisper_persistence.hookspecs import KINDS, PROJECT, SPECS, SUBJECTS, hook_names
from whisper_persistence.observing import Watcher, observed

if TYPE_CHECKING:
    from whisper_persistence.records import Question

_HOOKS: Final = frozenset(hook_names(SPECS))
_KEEPING: Final = frozenset(hook_names(spec for specs in SUBJECTS.values() for spec in specs))


class HookManager(pluggy.PluginManager):
    """pluggy's manager, which leaves out the hooks of subjects that a driver is not to keep."""

    def __init__(self, project: str) -> None:
        super().__init__(project)
        self._left_out: dict[int, frozenset[str]] = {}
        self.watched: dict[str, Watched] = {}
        for spec in SPECS:
            self.add_hookspecs(spec)

    def calling(self, hook: str, excluded: list[object]) -> Caller:
        """Return a hook of all drivers but some."""
        found = self.subset_hook_caller(hook, excluded)
        first = found.spec is not None and bool(found.spec.opts["firstresult"])
        return Caller(hook, found.spec, found.get_hookimpls(), self._hookexec, first)

    def add(self, spec: DriverSpec) -> object:
        """Build a driver, and register the hooks of the subjects that it is to keep.

        Raises:
            ConfigurationError: it cannot be built, or does not fit the hooks.
        """
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

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        """Return what pluggy asks about an attribute of a spec class, which has methods alone: ``None`` for no hook."""
        return getattr(getattr(module_or_class, name), f"{PROJECT}_spec", None)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Return what pluggy asks about a driver's attribute: ``None`` for no hook, or one that is left out.

        Raises:
            ConfigurationError: it has a hook's name, and nothing marks it, so that nobody would ever ask it.
        """
        if name.startswith("_") or name in self._left_out.get(id(plugin), ()):
            return None
        found = super().parse_hookimpl_opts(plugin, name)
        if found is None and _is_unmarked(type(plugin), name):
            owner = type(plugin).__name__
            raise ConfigurationError(f"{owner}.{name} would never be asked: mark it with @hookimpl, or rename it")
        return found

    def check(self, observers: Sequence[object]) -> None:
        """Refuse drivers with an unknown hook, that wrap hooks or are in vain, observers that answer; guard the rest.

        Raises:
            ConfigurationError: with the name of the first.
        """
        try:
            self.check_pending()
        except pluggy.PluginValidationError as error:
            owner, problem = self.get_name(error.plugin), first_line(error).partition(" in plugin")[0]
            raise ConfigurationError(f"driver {owner!r} implements an {problem}: correct the method's name") from None
        for name, plugin in self.list_name_plugin():
            self._check_role(name, plugin, plugin in observers)
            self._guard(name, plugin)
        self._check_order()

    def _check_order(self) -> None:
        """Refuse a driver that bears outages below a driver of record that is never asked in vain."""
        drivers = [(name, plugin, self._hooks_of(plugin)) for name, plugin in self.list_name_plugin()]
        for place, (name, plugin, hooks) in enumerate(drivers):
            above = drivers[place + 1 :] if getattr(plugin, "bears_outages", False) else ()
            for other, keeper, answers in above:
                asks = any(getattr(keeper, attribute, False) for attribute in ("bears_outages", "passes_on"))
                if "register_follower" in answers and not asks and hooks & _KEEPING <= answers:
                    raise ConfigurationError(
                        f"driver {name!r} is listed after {other!r}, which keeps everything and asks nobody below, so "
                        f"that {name!r} would never be asked: list it before {other!r}, or leave it out"
                    )

    def _hooks_of(self, plugin: object) -> set[str]:
        return {caller.name for caller in self.get_hookcallers(plugin) or ()}

    def _check_role(self, name: str, plugin: object, observes: bool) -> None:
        # A wrapper among the drivers would be called once a layer, and an observer that answers would answer first.
        for impl in self.impls(plugin):
            if impl.wrapper != observes:
                role, setting = ("wraps", "observers") if impl.wrapper else ("answers", "drivers")
                raise ConfigurationError(f"{name!r} {role} {impl.function.__name__}: name it in {setting}")

    def _guard(self, name: str, plugin: object) -> None:
        """Have every hook of a driver or observer called by itself, so that what it does wrong is told as its own."""
        watched = self.watched[name] = Watched(name, bool(getattr(plugin, "skippable", False)))
        watcher = Watcher(watched, bool(getattr(plugin, "local", False)))
        for caller in self.get_hookcallers(plugin) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin is plugin and caller.name not in _BY_ITSELF:
                    impl.function = self._guarded(watcher, caller.name, impl)  # type: ignore[misc]  # as above
                    watched.impls[caller.name] = impl

    def watcher(self, plugin: object) -> Watcher:
        """Return what guards the functions that a plugin has calls told to, on the caller's own thread."""
        return Watcher(self.watched[self.get_name(plugin) or ""], local=True)

    def _guarded(self, watcher: Watcher, hook: str, impl: pluggy.HookImpl) -> Callable[..., Any]:
        if impl.wrapper:
            return observed(watcher, hook, cast("Any", impl.function))
        if hook == "check_health":
            return guarded_health(watcher.watched, impl.function)
        return guarded(Turn(watcher.watched, hook, partial(self._has_next, hook, impl)), impl.function)

    def _has_next(self, hook: str, impl: pluggy.HookImpl) -> bool:
        answering = [other for other in getattr(self.hook, hook).get_hookimpls() if not other.wrapper]
        return answering.index(impl) > 0


#: Hooks that are called for each driver alone, where its own error says best what is wrong.
_BY_ITSELF: Final = frozenset({"inspect_schema", "open", "close"})


def _is_unmarked(driver_class: type, name: str) -> bool:
    """Say whether a method has a hook's name and is neither its specification nor marked as an implementation."""
    method = getattr(driver_class, name, None)
    return name in _HOOKS and callable(method) and not hasattr(method, f"{PROJECT}_spec")


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
