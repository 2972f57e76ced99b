"""What ``new-driver`` writes is a driver that is found, works, and passes the suite; and it is the tree of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from whisper_persistence import ConfigurationError, Message, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations import write_driver
from whisper_persistence.plugins import Chain

PAGE = Path(__file__).parents[1] / "docs" / "writing-a-driver.md"


@pytest.fixture
def package(site) -> Path:
    """A new driver's package, installed."""
    write_driver("word-count", site.path)
    folder = site.path / "whisper-persistence-word-count"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (site.path / "whisper_persistence_word_count").symlink_to(folder / "src" / "whisper_persistence_word_count")
    site.install(project["name"], project["entry-points"]["whisper_persistence.drivers"])
    return folder


def run_tests(package: Path, *options: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "WHISPER_PERSISTENCE_EXAMPLES": "5"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *options]
    command = [*command, "tests"]
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_a_new_driver_is_found_and_counts(package):
    with Store(Chain.build([DriverSpec("word-count", {"first": "5"}), DriverSpec("memory-fallback")])) as store:
        store.save_messages([Message("talk", "a", "a", "hello"), Message("talk", "a", "a", "again")])

        assert [tier.tier for tier in store.check_health()] == ["word-count", "memory-fallback"]
        assert store.check_health()[0].details == {"messages": 7}
    with pytest.raises(ConfigurationError, match="driver 'word-count' refuses an option"):
        Chain.build([DriverSpec("word-count", {"first": "-1"})])
    assert package.is_dir()


def test_a_new_driver_passes_a_part_of_the_suite(package):
    assert re.search(r"\b\d+ passed", run_tests(package, "-k", "claim"))


@pytest.mark.long
def test_a_new_driver_passes_the_suite(package):
    assert re.search(r"\b\d{3} passed", run_tests(package))


@pytest.mark.network
def test_a_stranger_types_what_the_command_says_in_an_environment_of_their_own(tmp_path):
    def typed(line: str) -> str:
        environment = {"PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
        command = ["bash", "-euo", "pipefail", "-c", line]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, done.stderr + done.stdout[-3000:]
        return done.stdout

    typed(f"{sys.executable} -m venv venv && venv/bin/pip install --quiet {PAGE.parents[1]}")
    following = typed("whisper-persistence new-driver mask").partition("next: ")[2]

    assert re.search(r"\b\d+ passed", typed(f"{following.strip()} -k claim"))
    drivers = typed("WHISPER_PERSISTENCE_DRIVERS=mask,sqlite whisper-persistence drivers")
    assert re.search(r"mask +whisper-persistence-mask 0\.1\.0 +1", drivers)


def test_the_page_follows_the_same_tree(tmp_path):
    (tree,) = re.findall(r"```text\nwhisper-persistence-mask/\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    written = write_driver("mask", tmp_path)

    assert [line.split()[0] for line in tree.splitlines()] == [
        file.relative_to(tmp_path / "whisper-persistence-mask").as_posix() for file in written
    ]


@pytest.mark.parametrize("name", ["", "Mask", "9lives", "a b", "../up", "a_b", "-a", "a-", "ümlaut"])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    with pytest.raises(ConfigurationError, match="is no name for a driver"):
        write_driver(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_no_name_is_taken_twice(tmp_path):
    write_driver("mask", tmp_path)

    with pytest.raises(ConfigurationError, match=r"whisper-persistence-mask cannot be made \(File exists\)"):
        write_driver("mask", tmp_path)
    with pytest.raises(ConfigurationError, match="a driver 'sqlite' is installed already"):
        write_driver("sqlite", tmp_path)
