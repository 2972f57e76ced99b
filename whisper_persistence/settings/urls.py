"""The short form of settings: one URL instead of a driver's name and options."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.paths import absolute_path

#: The driver that each scheme stands for; what follows a ``+`` in a scheme is the driver's own affair.
SCHEMES: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "memory": "memory-fallback",
}


@attrs.frozen
class Target:
    """What a URL names.

    Attributes:
        driver: the name of the driver.
        options: values for its options; never shown, they may hold a password.
    """

    driver: str
    options: dict[str, Any] = attrs.field(repr=False)


def parse_url(url: str) -> Target:
    """Return the driver and options that a URL stands for.

    ``sqlite:///relative.db`` is a path relative to the working directory, ``sqlite:////absolute.db`` and
    ``sqlite:///~/home.db`` are not; ``memory://`` has no path; ``postgresql://...`` is handed on whole. What follows a
    ``?`` in the first two are further options of the driver, such as ``sqlite:///memory.db?synchronous=normal``.

    Raises:
        ConfigurationError: the scheme is unknown or the path is missing; never repeats the URL.
    """
    scheme, separator, rest = url.strip().partition("://")
    driver = SCHEMES.get(scheme.partition("+")[0].lower())
    if not separator or driver is None:
        found = f"has the scheme {scheme!r}, which is not known" if separator and scheme.isalnum() else "has no scheme"
        raise ConfigurationError(f"the url {found}: use sqlite:///path, postgresql://user@host/database or memory://")
    if driver == "postgres":
        return Target(driver, {"url": url.strip()})
    path, _, query = rest.partition("?")
    options: dict[str, Any] = dict(parse_qsl(query))
    if driver == "sqlite":
        options["path"] = _sqlite_path(path)
    elif path.strip("/"):
        raise ConfigurationError("a memory url names no path: use memory://")
    return Target(driver, options)


def _sqlite_path(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise ConfigurationError("a sqlite url names no path: use sqlite:///relative.db or sqlite:////absolute.db")
    return str(absolute_path(path[1:]))
