"""From a driver's name and options, as settings say them, to the driver."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_origin, get_type_hints

import attrs
import msgspec

from whisper_persistence.errors import ConfigurationError, ContractVersionError
from whisper_persistence.hookspecs import CONTRACT_VERSION
from whisper_persistence.installed import as_ours, load_driver, missing_library


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


def build_driver(spec: DriverSpec) -> object:
    """Return a new instance of a driver, with its options; text is converted to the types of the driver's fields.

    Raises:
        ConfigurationError: an option is unknown, missing or not legal; names the driver and the option.
        ContractVersionError: the driver was written for another version of the contract.
        DriverNotFoundError, DriverConflictError, MissingLibraryError, BrokenDriverError: as `load_driver`.
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
    except Exception as error:
        raise as_ours(spec.name, error, "built") from None


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


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).partition("\n")[0]
