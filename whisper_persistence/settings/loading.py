"""Loading settings: what each source says, the strongest first, and the rules for what none of them says."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.installed import installed_drivers
from whisper_persistence.settings import modes
from whisper_persistence.settings.adopted import default_options, journal_path
from whisper_persistence.settings.model import DEFAULT_NAMESPACE, DEFAULT_WORKERS, Settings
from whisper_persistence.settings.policies import RECENT_DRIVER, StoragePolicies, read_policies
from whisper_persistence.settings.sources import (
    Source,
    read_arguments,
    read_environment,
    read_file,
    split_names,
    unknown_names,
)
from whisper_persistence.settings.urls import parse_url

_log = logging.getLogger(__name__)

#: The driver that keeps journals.
_NET: Final = "memory-fallback"


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process.

    Args:
        **overrides: settings given here, stronger than environment and file: ``drivers``, ``observers``, ``options``
            (by driver), ``namespace``, ``workers``, ``url``, ``preset``, ``config``,
            ``retention``. One that is ``None`` says nothing.

    Raises:
        ConfigurationError: a setting is unknown, cannot be read or contradicts another; names it and its source.
    """
    sources = _read_sources(overrides)
    choice = _explicit_choice(sources) or modes.choose_mode(os.environ, modes.CONTAINER_FILES)
    if choice.warning:
        _log.warning(choice.warning, extra={"drivers": choice.drivers})
    observers = next((source.said.observers for source in sources if source.said.observers), ())
    names = (*choice.drivers, *observers)
    _check_known(sources, names)
    options, policies = _merge_options(sources, choice.drivers[-1], names), _policies(sources)
    if RECENT_DRIVER in options:
        options[RECENT_DRIVER] = {**policies.recent_options(), **options[RECENT_DRIVER]}
    subjects = {
        name: _subjects(name, values.pop("subjects")) for name, values in options.items() if "subjects" in values
    }
    return Settings(
        choice.drivers,
        observers,
        options,
        subjects,
        _namespace(sources),
        _workers(sources),
        choice.reason,
        policies,
    )


def choose_settings(settings: Settings | None, overrides: Mapping[str, Any]) -> Settings:
    """Return settings that were loaded before, or load them.

    Args:
        settings: as loaded before, or ``None``.
        overrides: as for `load_settings`; only where they are loaded now.

    Raises:
        ConfigurationError: something else was given, or both; and as `load_settings` does.
    """
    if settings is None:
        return load_settings(**overrides)
    if not isinstance(settings, Settings):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"settings are what load_settings returns, not a {type(settings).__name__}: use from_settings(url=...)"
        )
    if overrides:
        raise ConfigurationError(f"settings that are loaded take no {', '.join(overrides)}: give that to load_settings")
    return settings


def _read_sources(overrides: Mapping[str, Any]) -> list[Source]:
    sources = [read_arguments(overrides), read_environment()]
    config = next((source.said.config for source in sources if source.said.config), None)
    return [*sources, read_file(Path(config).expanduser())] if config else sources


def _explicit_choice(sources: Sequence[Source]) -> modes.Choice | None:
    chain = next(_named_chains(sources), None)
    for source in sources:
        named = next(_named_chains([source]), None)
        if named:
            return named
        if source.said.url:
            driver = parse_url(source.said.url).driver
            reason = f"{source.where('url')} is set"
            if chain and chain.drivers[-1] == driver:
                return modes.Choice(chain.drivers, f"{chain.reason}, and {reason}")
            return modes.Choice((driver,), reason)
    return None


def _named_chains(sources: Sequence[Source]) -> Iterator[modes.Choice]:
    for source in sources:
        said = source.said
        if said.drivers and said.preset:
            raise ConfigurationError(f"{source.where('drivers')} and {source.where('preset')} are both set: set one")
        drivers = said.drivers or _preset_chain(source)
        if not drivers:
            continue
        if said.url and parse_url(said.url).driver != drivers[-1]:
            raise ConfigurationError(
                f"{source.where('url')} is for driver {parse_url(said.url).driver!r}, but the last driver named is "
                f"{drivers[-1]!r}: name one of the two"
            )
        yield modes.Choice(drivers, f"{source.where('drivers' if said.drivers else 'preset')} is set")


def _preset_chain(source: Source) -> tuple[str, ...]:
    preset = source.said.preset
    if preset and preset not in modes.PRESETS:
        known = ", ".join(modes.PRESETS)
        raise ConfigurationError(
            f"{source.where('preset')} names {preset!r}, which is not a preset: use one of {known}"
        )
    return modes.PRESETS.get(preset, ())


def _check_known(sources: Sequence[Source], names: Sequence[str]) -> None:
    known = set(names)
    if unknown_names(known) or any(source.said.options.keys() - known for source in sources):
        known.update(installed_drivers())  # looked for only where it matters: that takes some milliseconds
    for source in sources:
        unknown = sorted(source.said.options.keys() - known)
        if unknown:
            raise ConfigurationError(
                f"{source.where('options.' + unknown[0])} is for a driver that is neither named nor installed: "
                f"remove it or use one of {', '.join(sorted(known))}"
            )
    for name in unknown_names(known):
        _log.warning("%s is neither a setting nor an option of a driver that is there: it says nothing", name)


def _merge_options(sources: Sequence[Source], last: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {name: {} for name in names}
    for source in reversed(sources):
        if source.said.url:
            target = parse_url(source.said.url)
            merged[last].update(target.options if target.driver == last else {})
        for name, values in source.driver_options(names).items():
            merged[name].update(values)
    found = {name: {**default_options(name, given, os.environ), **given} for name, given in merged.items()}
    if _NET in found and last != _NET:
        found[_NET].setdefault("journal_directory", str(journal_path([*names, last], found)))
    return found


def _subjects(driver: str, value: Any) -> frozenset[str]:
    names = split_names(value) if isinstance(value, str) else value
    if not isinstance(names, Collection) or not names:
        raise ConfigurationError(f"driver {driver!r}: subjects must be a list of names, such as ['conversations']")
    return frozenset(str(name) for name in cast("Collection[Any]", names))


def _namespace(sources: Sequence[Source]) -> str:
    named = next((source.said.namespace for source in sources if source.said.namespace.strip()), "")
    return named or os.environ.get("DISCORD_BOT_NAME", "").strip() or DEFAULT_NAMESPACE


def _workers(sources: Sequence[Source]) -> int:
    source = next((source for source in sources if source.said.workers is not None), None)
    workers = DEFAULT_WORKERS if source is None else source.said.workers
    if source and (workers is None or workers < 1):
        raise ConfigurationError(f"{source.where('workers')} must be at least 1")
    return workers or DEFAULT_WORKERS


def _policies(sources: Sequence[Source]) -> StoragePolicies:
    source = next((source for source in sources if source.said.retention), None)
    if source is None:
        return StoragePolicies()
    where = "the argument" if source.kind == "argument" else f"config file {source.kind}:"
    return read_policies(source.said.retention, f"{where} retention")
