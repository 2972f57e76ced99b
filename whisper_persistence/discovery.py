"""Finding a driver by its name, and building it with its options.

Drivers are found through entry points, looked up one by one by the names that the settings list, so that installing a
package never changes where conversations are kept; naming it does.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, get_origin, get_type_hints

import attrs
import msgspec

from whisper_persistence.errors import (
    ConfigurationError,
    ContractVersionError,
    DriverConflictError,
    DriverNotFoundError,
    MissingLibraryError,
)
from whisper_persistence.hookspecs import CONTRACT_VERSION

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

#: The entry-point group in which distributions offer drivers and observers.
GROUP: Final = "whisper_persistence.drivers"


@attrs.frozen
class DriverSpec:
    """One driver as the settings name it.

    Attributes:
        name: the name of its entry point.
        options: values for its options; never shown, since they may hold passwords.
        subjects: the subjects it is restricted to, or ``None`` for all that it offers.
    """

    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    subjects: frozenset[str] | None = None


def installed_drivers() -> dict[str, list[EntryPoint]]:
    """Return every driver that is installed, by name, without importing any."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(find_offered(), key=lambda entry: entry.name):
        found.setdefault(entry.name, []).append(entry)
    return found


def find_offered() -> EntryPoints:
    """Return the drivers and observers of every installed distribution.

    To look through all of them takes some milliseconds, so what was found stands until Python's path or one of its
    folders changes, as it does when a package is installed or removed.
    """
    return _offered_in(tuple(map(_state, sys.path)))


def _state(place: str) -> tuple[str, int, int, int]:
    """Return what tells of a folder of Python's path whether anything was installed in it since."""
    from pathlib import Path

    try:
        found = Path(place).stat()
    except OSError:
        return place, 0, 0, 0
    return place, found.st_ino, found.st_mtime_ns, found.st_nlink


@lru_cache(maxsize=1)
def _offered_in(places: tuple[tuple[str, int, int, int], ...]) -> EntryPoints:
    from importlib.metadata import entry_points

    del places
    return entry_points(group=GROUP)


def load_driver(name: str) -> type:
    """Return the class of one driver, by the name of its entry point.

    Raises:
        DriverNotFoundError: nobody offers the name; lists what is installed.
        DriverConflictError: two distributions offer the name; names both.
        MissingLibraryError: the driver needs a library that is not installed; names it and the extra that brings it.
        ConfigurationError: what the entry point names is no class.
    """
    entries = list(find_offered().select(name=name))
    if not entries:
        known = ", ".join(installed_drivers()) or "none"
        raise DriverNotFoundError(
            f"driver {name!r} is not installed (installed: {known}): install the package that offers it"
        )
    if len(entries) > 1:
        owners = " and ".join(sorted(_owner(entry) for entry in entries))
        raise DriverConflictError(f"driver {name!r} is offered by {owners}: uninstall one of them")
    try:
        with _uncollected():
            loaded = entries[0].load()
    except ImportError as error:
        raise missing_library(name, error) from None
    except AttributeError:
        loaded = None
    if not isinstance(loaded, type):
        raise ConfigurationError(
            f"driver {name!r} of {_owner(entries[0])} is not a class: its entry point must name one"
        )
    return loaded


@contextmanager
def _uncollected() -> Generator[None]:
    """Have no garbage looked for meanwhile: imports leave next to none, and looking takes a quarter of their time."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def build_driver(spec: DriverSpec) -> object:
    """Return a new instance of a driver, with its options; text is converted to the types of the driver's fields.

    Raises:
        ConfigurationError: an option is unknown, missing or not legal; names the driver and the option.
        ContractVersionError: the driver was written for another version of the contract.
        DriverNotFoundError, DriverConflictError, MissingLibraryError: as `load_driver`.
    """
    driver_class: Any = load_driver(spec.name)
    _check_contract(spec.name, driver_class)
    _check_names(spec, inspect.signature(driver_class))
    options = _convert_options(spec, driver_class)
    try:
        return driver_class(**options)
    except ImportError as error:
        raise missing_library(spec.name, error) from None
    except (TypeError, ValueError) as error:
        problem = _without_secrets(str(error.args[0] if error.args else error), options, driver_class)
        raise ConfigurationError(f"driver {spec.name!r} refuses an option: {problem}") from None


def _check_names(spec: DriverSpec, signature: inspect.Signature) -> None:
    """Refuse options that a driver does not have, and ones that it cannot do without."""
    try:
        signature.bind(**spec.options)
    except TypeError as error:
        unknown = sorted(spec.options.keys() - signature.parameters.keys())
        problem = f"there is no option {unknown[0]!r}" if unknown else str(error)
        known = ", ".join(signature.parameters) or "none"
        raise ConfigurationError(f"driver {spec.name!r}: {problem} (its options: {known})") from None


def _convert_options(spec: DriverSpec, driver_class: type) -> dict[str, Any]:
    """Return the options with what the environment and files write as text or list in the types of their fields."""
    fields = attrs.fields_dict(driver_class) if attrs.has(driver_class) else {}
    by_alias = {field.alias: field for field in fields.values()}
    return {
        name: _convert(spec.name, name, value, _field_type(driver_class, by_alias[name].name))
        if name in by_alias and isinstance(value, (str, list))
        else value
        for name, value in spec.options.items()
    }


def _convert(driver: str, option: str, value: Any, wanted: Any) -> Any:
    if isinstance(value, str) and get_origin(wanted) in (tuple, list, set, frozenset):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, wanted, strict=False, dec_hook=_to_path)
    except msgspec.ValidationError:
        shape = wanted.__name__ if isinstance(wanted, type) else str(wanted).replace("typing.", "")
        raise ConfigurationError(
            f"driver {driver!r}: option {option!r} cannot be read as {shape}: correct its value"
        ) from None
    except (TypeError, NotImplementedError):
        return value


def _to_path(wanted: type, value: Any) -> Any:
    from pathlib import Path

    if issubclass(wanted, Path):
        return wanted(value)
    raise NotImplementedError


def _field_type(driver_class: type, name: str) -> Any:
    """Return the type of one field; the others may name what only type checkers import."""
    for base in driver_class.__mro__:
        annotation = inspect.get_annotations(base).get(name)
        if annotation is not None:
            probe = type("probe", (), {"__annotations__": {name: annotation}, "__module__": base.__module__})
            try:
                return get_type_hints(probe)[name]
            except NameError:
                return Any
    return Any


def _without_secrets(problem: str, options: Mapping[str, Any], driver_class: type) -> str:
    """Return the first line of a problem without the values of options that are not shown either (``repr=False``)."""
    fields = attrs.fields(driver_class) if attrs.has(driver_class) else ()
    for field in fields:
        value = str(options.get(field.alias, ""))
        problem = problem.replace(value, "***") if value and not field.repr else problem
    return problem.partition("\n")[0]


def _check_contract(name: str, driver_class: type) -> None:
    declared = next(
        (vars(base)["contract_version"] for base in driver_class.__mro__ if "contract_version" in vars(base)), None
    )
    if declared != CONTRACT_VERSION:
        raise ContractVersionError(
            f"driver {name!r} is written for contract version {declared}, and this is version {CONTRACT_VERSION}: "
            "install a release of the driver that declares contract_version = " + str(CONTRACT_VERSION)
        )


def missing_library(name: str, error: ImportError) -> MissingLibraryError:
    """Return what a driver that cannot be imported, built or opened lacks, and what brings it."""
    library = (error.name or "a library").partition(".")[0]
    owner = next((entry.dist for entry in find_offered().select(name=name) if entry.dist), None)
    if owner is None:
        return MissingLibraryError(f"driver {name!r} needs {library}: install it")
    extras = owner.metadata.get_all("Provides-Extra") or ()
    extra = next((f"[{extra}]" for extra in extras if extra in name.split("-")), "")
    return MissingLibraryError(f"driver {name!r} needs {library}: pip install '{owner.name}{extra}'")


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).partition("\n")[0]
