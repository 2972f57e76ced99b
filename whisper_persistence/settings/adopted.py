"""Option values from the environment names that WhisperEngine uses; weaker than any setting of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from whisper_persistence.paths import data_path

#: The environment names behind the options of the ``postgres`` driver, and their defaults.
POSTGRES_OPTIONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "host": ("POSTGRES_HOST", "localhost"),
    "port": ("POSTGRES_PORT", "5432"),
    "user": ("POSTGRES_USER", "bot_user"),
    "password": ("POSTGRES_PASSWORD", None),
    "database": ("POSTGRES_DB", "whisper_engine"),
}

Environment = Mapping[str, str]
#: The options of a driver that say where it stores; passwords, also those inside a URL, are left out.
_PLACES: Final = frozenset({"path", "url", "host", "port", "database", "schema"})


def default_options(driver: str, given: Mapping[str, Any], environ: Environment) -> dict[str, Any]:
    """Return values for the options of a driver that no setting gives.

    Args:
        driver: the driver's name.
        given: the options that settings give it.
        environ: the environment.
    """
    rule = _RULES.get(driver)
    return rule(environ) if rule and "url" not in given else {}


def journal_path(drivers: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> Path:
    """Return where the net keeps journals unless a setting says: a folder of its own for each place of storage.

    Args:
        drivers: the names of the chain.
        options: their options; of the last driver's, what says where it stores is told apart by a hash.
    """
    last = options.get(drivers[-1], {})
    place = {name: str(last[name]).rpartition("@")[2].partition("?")[0] for name in sorted(_PLACES & last.keys())}
    name = blake2b(repr((drivers[-1], place)).encode(), digest_size=8).hexdigest()
    return data_path("journals", name)


def sqlite_path(environ: Environment) -> Path:
    """Return where the SQLite file lies unless a setting says: in the user's data directory, absolute."""
    if environ.get("ENV_MODE", "").strip().lower() == "desktop":
        return Path.home() / ".whisperengine" / "memory.db"
    return data_path("memory.db")


def _sqlite(environ: Environment) -> dict[str, Any]:
    return {"path": str(sqlite_path(environ))}


def _postgres(environ: Environment) -> dict[str, Any]:
    values = {option: environ.get(name) or default for option, (name, default) in POSTGRES_OPTIONS.items()}
    return {option: value for option, value in values.items() if value is not None}


def _redis(environ: Environment) -> dict[str, Any]:
    if environ.get("REDIS_URL"):
        return {"url": environ["REDIS_URL"]}
    password = environ.get("REDIS_PASSWORD")
    login = f":{quote(password, safe='')}@" if password else ""
    host, port = environ.get("REDIS_HOST") or "localhost", environ.get("REDIS_PORT") or "6379"
    return {"url": f"redis://{login}{host}:{port}/{environ.get('REDIS_DB') or '0'}"}


def _chroma(environ: Environment) -> dict[str, Any]:
    host = environ.get("CHROMADB_HOST")
    if host and environ.get("USE_CHROMADB_HTTP", "true").strip().lower() != "false":
        return {"url": f"http://{host}:{environ.get('CHROMADB_PORT') or '8000'}"}
    return {"path": environ["CHROMADB_PATH"]} if environ.get("CHROMADB_PATH") else {}


_RULES: Final[Mapping[str, Callable[[Environment], dict[str, Any]]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "redis-hybrid": _redis,
    "chroma-recall": _chroma,
}
