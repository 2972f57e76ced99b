"""Which drivers are installed: found through entry points, and imported one by one.

They are looked up by the names that the settings list, so that installing a package never changes where conversations
are kept; naming it does.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from whisper_persistence.errors import (
    BrokenDriverError,
    ConfigurationError,
    DriverConflictError,
    DriverNotFoundError,
    MissingLibraryError,
    PersistenceError,
)
from whisper_persistence.guarding import let_escape

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

#: The entry-point group in which distributions offer drivers and observers.
GROUP: Final = "whisper_persistence.drivers"


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
        BrokenDriverError: its module cannot be imported.
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
    except Exception as error:
        raise as_ours(name, error, "imported") from None
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


def as_ours(name: str, error: Exception, when: str) -> PersistenceError:
    """Return what a driver's own code raised, where that is an error of ours, or else one that tells of it."""
    if isinstance(error, PersistenceError):
        return error
    return BrokenDriverError(f"driver {name!r} {let_escape(error)} when it was {when}: tell its author")
