"""Which drivers, where the settings leave it open: by what the environment says it is, never by the machine's size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from whisper_persistence.errors import ConfigurationError

_DESKTOP: Final = ("memory-fallback", "sqlite")
_POSTGRES: Final = ("memory-fallback", "postgres")
#: The usual chains by name.
PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    "desktop": _DESKTOP,
    "server": ("memory-fallback", "redis-hybrid", "chroma-recall", "postgres"),
}
#: The drivers that the values of ``WHISPERENGINE_DATABASE_TYPE`` stand for.
DATABASE_TYPES: Final = {"sqlite": _DESKTOP, "postgresql": _POSTGRES, "postgres": _POSTGRES}
#: Files that exist only inside a container.
CONTAINER_FILES: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
#: Environment names that are set only inside a container.
CONTAINER_NAMES: Final = ("KUBERNETES_SERVICE_HOST", "DOCKER_CONTAINER", "DOCKER_ENV", "CONTAINER_MODE")
#: Environment names that say where a PostgreSQL server is, besides ``POSTGRES_HOST``.
POSTGRES_NAMES: Final = ("POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")

_NO = frozenset({"", "0", "false", "no", "off"})


@attrs.frozen
class Choice:
    """Drivers, and why these.

    Attributes:
        drivers: their names, in order.
        reason: why, in words; names no value.
        warning: what the operator must know at once, or empty.
    """

    drivers: tuple[str, ...]
    reason: str
    warning: str = ""


def choose_mode(environ: Mapping[str, str], container_files: tuple[Path, ...] = CONTAINER_FILES) -> Choice:
    """Return the drivers for an environment whose settings name none.

    The first rule that applies decides: ``WHISPERENGINE_DATABASE_TYPE``; ``ENV_MODE=desktop``; ``POSTGRES_HOST``; a
    container, which without any PostgreSQL setting keeps its memory in memory, because its files may be gone with it;
    a cloud; SQLite.

    Args:
        environ: the environment.
        container_files: files that exist only inside a container.

    Raises:
        ConfigurationError: ``WHISPERENGINE_DATABASE_TYPE`` has a value that is not known.
    """
    database_type = environ.get("WHISPERENGINE_DATABASE_TYPE", "").strip().lower()
    if database_type:
        return _by_database_type(database_type)
    if environ.get("ENV_MODE", "").strip().lower() == "desktop":
        return Choice(_DESKTOP, "ENV_MODE is desktop")
    if environ.get("POSTGRES_HOST"):
        return Choice(_POSTGRES, "POSTGRES_HOST is set")
    container = _container_marker(environ, container_files)
    if container:
        return _in_container(environ, container)
    if environ.get("CLOUD_PROVIDER"):
        return Choice(_POSTGRES, "CLOUD_PROVIDER is set")
    return Choice(_DESKTOP, "nothing names another driver")


def _by_database_type(database_type: str) -> Choice:
    drivers = DATABASE_TYPES.get(database_type)
    if drivers is None:
        known = ", ".join(DATABASE_TYPES)
        raise ConfigurationError(f"WHISPERENGINE_DATABASE_TYPE has a value that is not known: use one of {known}")
    return Choice(drivers, f"WHISPERENGINE_DATABASE_TYPE is {database_type}")


def _in_container(environ: Mapping[str, str], marker: str) -> Choice:
    setting = next((name for name in POSTGRES_NAMES if environ.get(name)), None)
    if setting:
        return Choice(_POSTGRES, f"{setting} is set, in a container ({marker})")
    return Choice(
        ("memory-fallback",),
        f"a container ({marker}) without PostgreSQL settings",
        "memories are kept in memory only and are gone when this process ends, because this is a container "
        f"({marker}) without PostgreSQL settings: set POSTGRES_HOST, or set WHISPER_PERSISTENCE_URL to "
        "sqlite:////path on a mounted volume",
    )


def _container_marker(environ: Mapping[str, str], files: tuple[Path, ...]) -> str | None:
    names = (name for name in CONTAINER_NAMES if environ.get(name, "").strip().lower() not in _NO)
    return next(names, None) or next((str(file) for file in files if file.exists()), None)
