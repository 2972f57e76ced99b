"""Finding a driver by its name, and building it with its options.

Drivers are found through entry points, looked up one by one by the names that the settings list, so that installing a
package never changes where conversations are kept; naming it does.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import attrs

from whisper_persistence.errors import (
    ConfigurationError,
    ContractVersionError,
    DriverConflictError,
    DriverNotFoundError,
    MissingLibraryError,
)
from whisper_persistence.hookspecs import CONTRACT_VERSION

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
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_driver(name: str) -> type:
    """Return the class of one driver.

    Raises:
        DriverNotFoundError: nobody offers the name; lists what is installed.
        DriverConflictError: two distributions offer the name; names both.
        MissingLibraryError: the driver needs a library that is not installed; names it and the extra that brings it.
    """
    entries = list(entry_points(group=GROUP, name=name))
    if not entries:
        known = ", ".join(installed_drivers()) or "none"
        raise DriverNotFoundError(
            f"driver {name!r} is not installed (installed: {known}): install the package that offers it"
        )
    if len(entries) > 1:
        owners = " and ".join(sorted(_owner(entry) for entry in entries))
        raise DriverConflictError(f"driver {name!r} is offered by {owners}: uninstall one of them")
    try:
        loaded = entries[0].load()
    except ImportError as error:
        raise _missing_library(name, entries[0], error) from None
    if not isinstance(loaded, type):
        raise ConfigurationError(
            f"driver {name!r} of {_owner(entries[0])} is not a class: its entry point must name one"
        )
    return loaded


def build_driver(spec: DriverSpec) -> object:
    """Return a new instance of a driver, with its options.

    Raises:
        ConfigurationError: an option is unknown, missing or not legal; names the driver and the option.
        ContractVersionError: the driver was written for another version of the contract.
        DriverNotFoundError, DriverConflictError, MissingLibraryError: as `load_driver`.
    """
    driver_class: Any = load_driver(spec.name)
    _check_contract(spec.name, driver_class)
    signature = inspect.signature(driver_class)
    try:
        signature.bind(**spec.options)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "none"
        raise ConfigurationError(f"driver {spec.name!r}: {error} (its options: {known})") from None
    try:
        return driver_class(**spec.options)
    except ImportError as error:
        raise _missing_library(spec.name, next(iter(entry_points(group=GROUP, name=spec.name))), error) from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"driver {spec.name!r} refuses an option: {first_line(error)}") from None


def _check_contract(name: str, driver_class: type) -> None:
    declared = next(
        (vars(base)["contract_version"] for base in driver_class.__mro__ if "contract_version" in vars(base)), None
    )
    if declared != CONTRACT_VERSION:
        raise ContractVersionError(
            f"driver {name!r} is written for contract version {declared}, and this is version {CONTRACT_VERSION}: "
            "install a release of the driver that declares contract_version = " + str(CONTRACT_VERSION)
        )


def _missing_library(name: str, entry: EntryPoint, error: ImportError) -> MissingLibraryError:
    owner = entry.dist.name if entry.dist else "its distribution"
    library = (error.name or "a library").partition(".")[0]
    extras = entry.dist.metadata.get_all("Provides-Extra") if entry.dist else None
    extra = next((extra for extra in extras or () if extra in name), None)
    return MissingLibraryError(f"driver {name!r} needs {library}: install {owner}{f'[{extra}]' if extra else ''}")


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).partition("\n")[0]
