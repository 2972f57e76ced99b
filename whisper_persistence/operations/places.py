"""The two ends of a copy: what their URLs name, and whether they are one and the same."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import msgspec

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.paths import state_path
from whisper_persistence.settings import Settings, load_settings
from whisper_persistence.settings.urls import parse_url
from whisper_persistence.store import Store

_LOOPBACK: Final = re.compile(r"^(127\.0\.0\.1|\[::1\])?(?=:\d+$)")


@attrs.frozen
class Place:
    """A database that a URL names.

    Attributes:
        driver: the driver that keeps it.
        name: the database, by a name that has neither user nor password.
        url: the URL; never shown, it may hold a password.
        path: its file, where it is one.
    """

    driver: str
    name: str
    url: str = attrs.field(repr=False)
    path: Path | None = None

    @classmethod
    def of(cls, url: str) -> Place:
        """Return what a URL names.

        Raises:
            ConfigurationError: it cannot be read; never repeats the URL.
        """
        target = parse_url(url)
        if target.driver == "postgres":
            return cls(target.driver, _server_name(target.options["url"]), url)
        path = Path(target.options["path"]).resolve() if "path" in target.options else None
        return cls(target.driver, str(path or ""), url, path)

    def open(self, **overrides: Any) -> Store:
        """Open the database by its own driver alone, without any layer or observer that settings name.

        Args:
            **overrides: settings given here: ``config`` and ``namespace``.
        """
        return self._open(self._settings(**overrides))

    def open_source(self, **overrides: Any) -> Store:
        """Open the database as `open` does, to read it: hash chains that it has are kept, and none are begun."""
        settings = self._settings(**overrides)
        given = settings.options.get(self.driver, {})
        kept = {**given, "tamper_evidence": "kept"} if "tamper_evidence" in given else given
        return self._open(attrs.evolve(settings, options={**settings.options, self.driver: kept}))

    def _settings(self, **overrides: Any) -> Settings:
        return load_settings(**overrides, url=self.url, drivers=[self.driver])

    @staticmethod
    def _open(settings: Settings) -> Store:
        return Store.from_settings(attrs.evolve(settings, observers=(), subjects={}))


def find_places(source: str, destination: str) -> tuple[Place, Place]:
    """Return what the URLs of a copy name.

    Raises:
        ConfigurationError: the source is a file that is not there, or both name the same database.
    """
    found, wanted = Place.of(source), Place.of(destination)
    if found.path and not found.path.exists():
        raise ConfigurationError(f"there is nothing to copy: {found.path} is not there")
    if (found.driver, found.name) == (wanted.driver, wanted.name) or _is_same_file(found.path, wanted.path):
        raise ConfigurationError("source and destination of the copy are the same database: name two")
    return found, wanted


def name_copy(source: Place, destination: Place, namespace: str) -> str:
    """Return a name for the copy of a namespace from one place to another, which says nothing about either."""
    parts = [source.driver, source.name, destination.driver, destination.name, namespace]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=12).hexdigest()


def checkpoint_path(copy: str) -> Path:
    """Return where the checkpoint of a copy lies unless the caller says: in the user's state directory."""
    return state_path("copies", f"{copy}.json")


def _is_same_file(one: Path | None, other: Path | None) -> bool:
    return bool(one and other and other.exists() and one.samefile(other))


def _server_name(url: str) -> str:
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
    except ValueError:
        raise ConfigurationError(
            "a postgresql url cannot be read: write postgresql://user@host:port/database"
        ) from None
    address = parts.netloc.rpartition("@")[2].lower() or given.get("host", "")
    if not re.search(r":\d+$", address):
        address = f"{address.removesuffix(':')}:{given.get('port', 5432)}"
    database = unquote(parts.path.strip("/")) or given.get("dbname") or parts.username or ""
    return f"{_LOOPBACK.sub('localhost', address)}/{database}"
