"""A new driver's package, file by file, as ``docs/writing-a-driver.md`` explains it; it passes the suite at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.installed import installed_drivers

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: Where the files of a package go, and what they are made of.
_FILES: Final[Mapping[str, str]] = {
    "pyproject.toml": "pyproject.toml.txt",
    "src/$package/__init__.py": "driver.py.txt",
    "src/$package/py.typed": "py.typed.txt",
    "tests/test_$module.py": "test_driver.py.txt",
}


def write_driver(name: str, directory: Path) -> tuple[Path, ...]:
    """Write the package ``whisper-persistence-NAME``, with a driver that counts messages and hands them on.

    Args:
        name: what settings call the driver: lower-case letters, digits and hyphens.
        directory: where the package's folder is made.

    Returns:
        The files.

    Raises:
        ConfigurationError: the name is not one, or is another driver's, or there is such a folder already.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for a driver: use lower-case letters, digits and hyphens")
    if name in installed_drivers():
        raise ConfigurationError(f"a driver {name!r} is installed already: choose another name")
    distribution = f"whisper-persistence-{name}"
    module = name.replace("-", "_")
    words = {"name": name, "module": module, "distribution": distribution, "package": f"whisper_persistence_{module}"}
    words["class_name"] = "".join(part.capitalize() for part in name.split("-"))
    folder = directory / distribution
    try:
        folder.mkdir(parents=True)
        return tuple(_write(folder, place, source, words) for place, source in _FILES.items())
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made ({error.strerror}): name another --directory") from None


def _write(folder: Path, place: str, source: str, words: Mapping[str, str]) -> Path:
    text = files("whisper_persistence.operations").joinpath("new_driver_files", source).read_text(encoding="utf-8")
    file = folder / Template(place).substitute(words)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(Template(text).substitute(words), encoding="utf-8")
    return file
