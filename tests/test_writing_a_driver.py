"""The page for authors of drivers builds a driver that works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from whisper_persistence import ConfigurationError, Message, MessageEdit, Store, Window, hookspecs
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Follower, Pending
from whisper_persistence.testing import CAPABILITIES

PAGE = Path(__file__).parents[1] / "docs" / "writing-a-driver.md"
FILE = re.compile(r"^`([\w./-]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def package(site, monkeypatch) -> Path:
    """The package of the page, installed."""
    folder = site.path / "whisper-persistence-mask"
    for name, content in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (site.path / "whisper_persistence_mask").symlink_to(folder / "src" / "whisper_persistence_mask")
    site.install(project["name"], project["entry-points"]["whisper_persistence.drivers"])
    return folder


def open_store(**options: object) -> Store:
    return Store(Chain.build([DriverSpec("mask", options), DriverSpec("memory-fallback")]))


@pytest.mark.usefixtures("package")
def test_the_driver_of_the_page_masks_what_is_kept():
    window = Window("talk")
    with open_store(mask="***") as store:
        store.save_messages([Message("talk", "a", "a", "to a.b+c@example.co.uk and", message_id="1")])
        assert store.load_messages([window])[window][0].content == "to *** and"
        store.update_messages([MessageEdit("talk", "1", "now x@example.org")])

        assert store.load_messages([window])[window][0].content == "now ***"


@pytest.mark.usefixtures("package")
def test_the_options_of_the_page_are_checked():
    with pytest.raises(ConfigurationError, match=r"driver 'mask'.*'mask'"):
        open_store(mask="")


@pytest.mark.parametrize(
    "part",
    [
        "claim or equal or counted or masked",
        pytest.param("not process and not thread", marks=pytest.mark.long),
    ],
)
def test_the_tests_of_the_page_pass(package, part):
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "WHISPER_PERSISTENCE_EXAMPLES": "2"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "tests"]
    command += ["-k", part]
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_the_observer_of_the_page_observes(site, caplog):
    snippets = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (code,) = (snippet for snippet in snippets if "class CountObserver" in snippet)
    site.write("counting", code)
    site.install("counting", {"count": "counting:CountObserver"})
    with (
        Store(Chain.build([DriverSpec("memory-fallback")], [DriverSpec("count")])) as store,
        caplog.at_level("INFO", logger="counting"),
    ):
        store.save_messages([Message("talk", "a", "a", "hello")])

    assert [record.getMessage() for record in caplog.records] == ["1 messages, {'volatile'}"]


def test_the_page_and_the_contract_name_every_attribute_that_a_driver_may_declare():
    named = {"contract_version", "local", "skippable", "bears_outages", "max_readers", "max_writers"}
    section = PAGE.read_text(encoding="utf-8").partition("## Observers")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]

    assert set(re.findall(r"`(\w+)`", "".join(rows))) == named
    assert not [name for name in named if f"``{name}" not in str(hookspecs.__doc__)]


def test_the_page_names_every_capability():
    section = PAGE.read_text(encoding="utf-8").partition("## Testing it")[2]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]

    assert set(re.findall(r"`(\w+)`", "".join(rows))) == set(CAPABILITIES)


def test_the_follower_of_the_page_clears_what_it_pushed():
    snippets = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (snippet,) = (snippet for snippet in snippets if "lease_follower" in snippet)
    pushed: list[Pending] = []
    with Store(Chain.build([DriverSpec("memory-fallback")])) as store:
        store.register_follower(Follower("my-index", ("messages",)))
        store.save_messages([Message("talk", "a", "a", "words", message_id="1")])
        exec(snippet, {"below": store.chain.hook, "push": pushed.extend})  # noqa: S102

        assert [pending.item for pending in pushed] == ["1"]
        assert store.load_pending("my-index", 10) == ()
