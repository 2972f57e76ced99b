"""What is installed is what was meant to be, and importing it is light."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
DISTRIBUTION = importlib.metadata.distribution("whisper-persistence")
IS_EDITABLE = json.loads(DISTRIBUTION.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable", False)
TOP = {"whisper_persistence", "whisper_persistence_drivers"}

installed = pytest.mark.skipif(IS_EDITABLE, reason="needs the package installed from its wheel: use tox")


def names() -> set[PurePosixPath]:
    return {PurePosixPath(str(file)) for file in DISTRIBUTION.files or ()}


@installed
def test_exactly_two_packages_are_installed():
    own = {name.parts[0] for name in names() if ".." not in name.parts and not name.parts[0].endswith(".dist-info")}

    assert own == TOP


@installed
def test_no_module_called_drivers_is_installed():
    assert importlib.util.find_spec("drivers") is None


@installed
def test_it_is_the_installed_package_that_is_tested():
    spec = importlib.util.find_spec("whisper_persistence")

    assert spec is not None
    assert spec.origin is not None
    assert "site-packages" in Path(spec.origin).parts


@installed
@pytest.mark.parametrize("package", sorted(TOP))
def test_types_are_shipped(package):
    assert PurePosixPath(package, "py.typed") in names()


@installed
def test_every_source_file_is_shipped_and_nothing_else():
    source = {
        file.relative_to(root).as_posix()
        for root, package in ((ROOT, "whisper_persistence"), (ROOT / "drivers", "whisper_persistence_drivers"))
        for file in (root / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    shipped = {name.as_posix() for name in names() if name.parts[0] in TOP and "__pycache__" not in name.parts}

    assert shipped == source
    assert any("migrations/versions/" in name for name in shipped)


def test_the_bundled_drivers_are_offered_and_can_be_loaded():
    offered = {entry.name: entry for entry in DISTRIBUTION.entry_points.select(group="whisper_persistence.drivers")}

    assert {"memory-fallback", "sqlite"} <= offered.keys()
    assert all(entry.module.startswith("whisper_persistence_drivers.") for entry in offered.values())
    assert all(
        isinstance(entry.load(), type) for entry in offered.values() if entry.name in ("memory-fallback", "sqlite")
    )


def test_the_base_install_is_light():
    required = {line.split(";")[0] for line in DISTRIBUTION.requires or () if "extra ==" not in line}
    heavy = ("chromadb", "duckdb", "hypothesis", "numpy", "psycopg", "pytest", "redis")

    assert not [line for line in required if line.startswith(heavy)]


def imported_by(statement: str, cwd: Path) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-c", statement]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)  # noqa: S603
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}


def test_importing_the_package_loads_no_driver_and_no_library_of_one(tmp_path):
    heavy = {"alembic", "chromadb", "click", "duckdb", "psycopg", "redis", "rich", "sqlalchemy", "typed_settings"}
    modules = imported_by("import whisper_persistence", tmp_path)

    assert "whisper_persistence" in modules
    assert not modules & {*heavy, "sqlite3", "whisper_persistence_drivers", "pytest", "hypothesis"}


def test_opening_sqlite_loads_no_library_of_another_driver(tmp_path):
    opening = "from whisper_persistence import Store; Store.from_settings(url='sqlite:///memory.db').close()"
    imported_by(opening, tmp_path)
    modules = imported_by(opening, tmp_path)

    assert "sqlite3" in modules
    assert not modules & {"chromadb", "duckdb", "numpy", "psycopg", "redis", "whisper_persistence_jsonl", "pytest"}
    assert "alembic" not in modules, "an up-to-date database needs no migration"


@pytest.mark.network
def test_the_wheel_built_from_the_source_archive_is_complete(tmp_path):
    run = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(run, check=True)  # noqa: S603
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()}

    assert {name.parts[0] for name in shipped if not name.parts[0].endswith(".dist-info")} == TOP
    assert any(name.name == "LICENSE" for name in shipped)
