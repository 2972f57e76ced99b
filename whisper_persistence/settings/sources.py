"""The sources of settings: arguments, the environment, a TOML file. Each says some of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

import attrs
from typed_settings import EnvLoader, SettingsState, TomlFormat
from typed_settings.converters import TSConverter
from typed_settings.exceptions import ConfigFileNotFoundError, InvalidOptionsError, TsError
from typed_settings.loaders import clean_settings

from whisper_persistence.errors import ConfigurationError

#: What every environment name of ours begins with.
PREFIX: Final = "WHISPER_PERSISTENCE_"
#: The table of a TOML file that is read.
SECTION: Final = "whisper-persistence"


@attrs.frozen
class Said:
    """What a source may say.

    Attributes:
        drivers, observers, options, namespace, workers: as `whisper_persistence.settings.Settings`.
        url: the short form of the last driver and its options; never shown, it may hold a password.
        preset: the name of a usual chain.
        config: the TOML file to read; a file itself does not say it.
        retention: what is kept, as `whisper_persistence.settings.policies.read_policies` takes it.
    """

    drivers: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = attrs.field(factory=dict[str, dict[str, Any]], repr=False)
    namespace: str = ""
    workers: int | None = None
    url: str = attrs.field(default="", repr=False)
    preset: str = ""
    config: str = ""
    retention: dict[str, Any] = attrs.field(factory=dict[str, Any])


def split_names(text: str) -> list[str]:
    """Return the names in a text that separates them by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


_CONVERTER: Final = TSConverter(resolve_paths=False, strlist_sep=cast("Any", split_names))
_OPTIONS: Final = SettingsState(Said, [], [], _CONVERTER, Path()).options
#: The settings that are tables, which the environment cannot say as one.
_TABLES: Final = ("options", "retention")
#: Names that are for `whisper_persistence.testing`, as is what begins with ``TEST_``.
_OF_TESTS: Final = {f"{PREFIX}EXAMPLES", f"{PREFIX}STEPS"}
_TYPES: Final = {option.name: option.cls for option in _OPTIONS}


@attrs.frozen
class Source:
    """A source of settings and what it says.

    Attributes:
        kind: ``argument``, ``environment``, or the path of a file.
        said: what it says.
    """

    kind: str
    said: Said

    @classmethod
    def of(cls, kind: str, values: Mapping[str, Any]) -> Self:
        """Return a source that says these values, converted to the types of `Said`.

        Raises:
            ConfigurationError: one cannot be converted; names it, never its value.
        """
        source = cls(kind, Said())
        return cls(kind, Said(**{name: source._convert(name, value) for name, value in values.items()}))

    def where(self, setting: str) -> str:
        """Return how this source names a setting."""
        if self.kind == "environment":
            return f"{PREFIX}{setting.upper()}"
        return f"the argument {setting}" if self.kind == "argument" else f"{setting} in {self.kind}"

    def driver_options(self, drivers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the options that this source gives to these drivers, by driver."""
        if self.kind == "environment":
            return read_environment_options(drivers)
        return {
            name: {key.replace("-", "_"): value for key, value in self.said.options.get(name, {}).items()}
            for name in drivers
        }

    def _convert(self, name: str, value: Any) -> Any:
        expected: Any = _TYPES[name]
        try:
            return _CONVERTER.structure(value, expected)
        except (AttributeError, TypeError, ValueError):
            shape = expected.__name__ if isinstance(expected, type) else str(expected).removesuffix(" | None")
            raise ConfigurationError(f"{self.where(name)} cannot be read as {shape}: correct it") from None


def read_arguments(arguments: Mapping[str, Any]) -> Source:
    """Return what arguments say; one that is ``None`` says nothing.

    Raises:
        ConfigurationError: an argument is unknown or cannot be read.
    """
    unknown = sorted(arguments.keys() - _TYPES.keys())
    if unknown:
        raise ConfigurationError(f"setting {unknown[0]!r} is not known: use one of {', '.join(_TYPES)}")
    return Source.of("argument", {name: _plain(value) for name, value in arguments.items() if value is not None})


def read_environment() -> Source:
    """Return what the environment says, except options of drivers; an empty value says nothing."""
    loader = EnvLoader(PREFIX)
    named = [option for option in _OPTIONS if option.name not in _TABLES]
    values = loader(Said, tuple(named)).settings
    return Source.of("environment", {name: value for name, value in values.items() if value})


def read_environment_options(drivers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the options that ``WHISPER_PERSISTENCE_<DRIVER>_<OPTION>`` give to these drivers, by driver."""
    options: dict[str, dict[str, Any]] = {name: {} for name in drivers}
    prefixes = {f"{PREFIX}{name.replace('-', '_').upper()}_": name for name in options}
    for variable, value in os.environ.items():
        prefix = max((known for known in prefixes if variable.startswith(known)), key=len, default="")
        if prefix and value:
            options[prefixes[prefix]][variable.removeprefix(prefix).lower()] = value
    return options


def unknown_names(drivers: Iterable[str]) -> list[str]:
    """Return the names of ours in the environment that are neither settings nor options of these drivers."""
    settings = {f"{PREFIX}{option.name.upper()}" for option in _OPTIONS if option.name not in _TABLES}
    prefixes = (f"{PREFIX}TEST_", *(f"{PREFIX}{name.replace('-', '_').upper()}_" for name in drivers))
    ours = (name for name in os.environ if name.startswith(PREFIX))
    return sorted(name for name in ours if name not in settings | _OF_TESTS and not name.startswith(prefixes))


def read_file(path: Path) -> Source:
    """Return what a TOML file says in its ``[whisper-persistence]`` table.

    Relative values of options whose name ends in ``path`` or ``directory`` are relative to the file.

    Raises:
        ConfigurationError: the file cannot be read, has no such table, or names something unknown; names file and key.
    """
    fields = tuple(option for option in _OPTIONS if option.name != "config")
    try:
        found = TomlFormat(SECTION)(path, Said, fields)
        values = clean_settings(found, fields, path)
    except InvalidOptionsError as error:
        unknown = str(error).rpartition(": ")[2]
        known = ", ".join(option.name for option in fields)
        raise ConfigurationError(f"config file {path}: setting {unknown} is not known: use one of {known}") from None
    except ConfigFileNotFoundError:
        raise ConfigurationError(f"config file {path} is not there: name one that is") from None
    except (TsError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"config file {path}: {str(error).partition(chr(10))[0]}") from None
    except OSError as error:
        raise ConfigurationError(f"config file {path} cannot be read: {error.strerror}") from None
    if not values:
        raise ConfigurationError(f"config file {path} says nothing in a [{SECTION}] table: add one")
    source = Source.of(str(path), values)
    return Source(source.kind, attrs.evolve(source.said, options=_resolve_paths(source.said.options, path.parent)))


def _resolve_paths(options: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    return {
        driver: {
            key: str(folder.absolute() / Path(value).expanduser()) if _names_path(key, value) else value
            for key, value in values.items()
        }
        for driver, values in options.items()
    }


def _names_path(key: str, value: Any) -> bool:
    return isinstance(value, str) and key.endswith(("path", "directory"))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
