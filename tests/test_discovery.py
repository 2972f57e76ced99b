"""Drivers are found by their name alone, and every way to get that wrong has one clear error."""

from __future__ import annotations

import gc
import importlib.metadata
import shutil
import sys
import textwrap
from contextlib import suppress

import pytest

from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.errors import (
    ConfigurationError,
    ContractVersionError,
    DriverConflictError,
    DriverNotFoundError,
    MissingLibraryError,
    PersistenceError,
)
from whisper_persistence.installed import installed_drivers, load_driver
from whisper_persistence.plugins import Chain

SHELF = """
    import attrs


    @attrs.define(eq=False)
    class Shelf:
        contract_version = 1
        height: int = attrs.field(validator=attrs.validators.gt(0))
        password: str = ""
"""


def test_a_driver_is_found_and_built_with_its_options(site):
    site.write("stranger", SHELF)
    site.install("stranger-shelf", {"shelf": "stranger:Shelf"})

    driver = build_driver(DriverSpec("shelf", {"height": 3}))

    assert driver.height == 3


def test_the_bundled_drivers_come_by_the_same_door():
    (entry,) = installed_drivers()["sqlite"]

    assert entry.dist is not None
    assert entry.dist.name == "whisper-persistence"


def test_listing_what_is_installed_imports_nothing(site):
    site.write("explosive", "raise SystemExit('imported')")
    site.install("explosive", {"explosive": "explosive:Driver"})

    assert "explosive" in installed_drivers()
    assert "explosive" not in sys.modules


def test_an_unknown_driver_lists_what_is_installed(site):
    site.write("stranger", SHELF)
    site.install("stranger-shelf", {"shelf": "stranger:Shelf"})

    with pytest.raises(DriverNotFoundError, match=r"driver 'redis-cluster' is not installed \(installed: .*shelf.*\)"):
        load_driver("redis-cluster")


@pytest.mark.parametrize("name", ["", "SHELF", "shelf ", "../shelf", "shelf\0", "シェルフ", "sh*"])
def test_only_the_exact_name_is_found(site, name):
    site.write("stranger", SHELF)
    site.install("stranger-shelf", {"shelf": "stranger:Shelf"})

    with pytest.raises(DriverNotFoundError):
        load_driver(name)


def test_two_owners_of_a_name_are_both_named(site):
    site.write("stranger", SHELF)
    site.install("zz-shelf", {"shelf": "stranger:Shelf"})
    site.install("aa-shelf", {"shelf": "stranger:Shelf"})

    with pytest.raises(DriverConflictError, match=r"'shelf' is offered by aa-shelf 1\.0 and zz-shelf 1\.0: uninstall"):
        load_driver("shelf")


def test_a_stranger_cannot_quietly_take_the_name_of_a_bundled_driver(site):
    site.write("stranger", SHELF)
    site.install("aa-storage", {"sqlite": "stranger:Shelf"})

    with pytest.raises(DriverConflictError, match=r"aa-storage 1\.0 and whisper-persistence"):
        load_driver("sqlite")


def test_one_broken_stranger_does_not_stop_the_others(site):
    site.write("stranger", SHELF)
    site.write("broken", "import no_such_library")
    site.install("broken", {"broken": "broken:Driver"})
    site.install("stranger-shelf", {"shelf": "stranger:Shelf"})

    assert load_driver("shelf").__name__ == "Shelf"


def test_what_is_installed_or_removed_meanwhile_is_noticed_and_nothing_is_looked_through_twice(site, monkeypatch):
    site.write("stranger", SHELF)
    site.install("first-shelf", {"first": "stranger:Shelf"})
    load_driver("first")  # Python puts what it compiled beside the module, which changes the folder
    load_driver("first")
    looked = []
    look = importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **named: looked.append(named) or look(**named))

    assert [load_driver("first").__name__ for _ in range(3)] == ["Shelf"] * 3
    assert looked == []
    site.install("second-shelf", {"second": "stranger:Shelf"})
    assert load_driver("second").__name__ == "Shelf"
    assert len(looked) == 1
    shutil.rmtree(site.path / "first_shelf-1.0.dist-info")
    with pytest.raises(DriverNotFoundError):
        load_driver("first")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(site.path)])
    with pytest.raises(DriverNotFoundError):
        load_driver("second")


@pytest.mark.parametrize("moment", ["imported", "built"])
@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            "RuntimeError('private')",
            r"^driver 'odd' let RuntimeError escape \(odd.py:\d+\) when it was {}: tell its author$",
        ),
        ("ConfigurationError('no shelf: build one')", "^no shelf: build one$"),
    ],
)
def test_what_a_drivers_own_code_raises_is_told_as_its_own_unless_it_is_an_error_of_ours(site, moment, raised, said):
    body = f"raise {raised}" if moment == "imported" else f"def __init__(self): raise {raised}"
    source = ["from whisper_persistence.errors import ConfigurationError", "class Odd:", "    contract_version = 1"]
    site.write("odd", "\n".join([*source, f"    {body}"]))
    site.install("odd", {"odd": "odd:Odd"})

    with pytest.raises(PersistenceError, match=said.format(moment)):
        build_driver(DriverSpec("odd"))


@pytest.mark.parametrize("source", [SHELF, "import no_such_library"], ids=["imported", "not to be imported"])
@pytest.mark.parametrize("collecting", [True, False])
def test_whoever_looks_for_garbage_or_not_does_so_after_an_import_too(site, source, collecting):
    site.write("seen", f"import gc\nDURING = gc.isenabled()\n{textwrap.dedent(source)}")
    site.install("seen-shelf", {"seen": "seen:Shelf"})
    (gc.enable if collecting else gc.disable)()
    try:
        with suppress(MissingLibraryError):
            assert not sys.modules[load_driver("seen").__module__].DURING
        assert gc.isenabled() == collecting
    finally:
        gc.enable()


def test_a_missing_library_names_the_extra_that_brings_it(site):
    site.write("quick", "import no_such_library.client")
    site.install("quick-shelf", {"quick-recall": "quick:Driver"}, extras=["all", "quick"])

    with pytest.raises(
        MissingLibraryError, match=r"driver 'quick-recall' needs no_such_library: pip install 'quick-shelf\[quick\]'$"
    ):
        load_driver("quick-recall")


@pytest.mark.parametrize("moment", ["__init__(self)", "open(self, below, namespace)"])
def test_a_library_missing_only_when_built_or_opened_is_reported_alike(site, moment):
    site.write(
        "late",
        f"""
        from whisper_persistence import hookimpl

        class Late:
            contract_version = 1

            @hookimpl
            def {moment}:
                import no_such_library
        """,
    )
    site.install("late-shelf", {"late": "late:Late"})

    with pytest.raises(MissingLibraryError, match=r"driver 'late' needs no_such_library: pip install 'late-shelf'$"):
        Chain.build([DriverSpec("late")]).open("default")


@pytest.mark.parametrize("target", ["odd:driver", "odd:absent", "odd"])
def test_an_entry_point_that_is_not_a_class_is_refused(site, target):
    site.write("odd", "driver = object()")
    site.install("odd", {"odd": target})

    with pytest.raises(ConfigurationError, match=r"driver 'odd' of odd 1\.0 is not a class"):
        load_driver("odd")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 3, "depth": 1}, r"driver 'shelf': there is no option 'depth' \(its options: height, password"),
        ({}, r"driver 'shelf': .*'height'"),
        ({"height": -1}, r"driver 'shelf' refuses an option: 'height' must be > 0"),
        ({"height": "tall"}, r"driver 'shelf'.*'height'"),
    ],
)
def test_an_option_that_cannot_be_names_driver_and_option(site, options, message):
    site.write("stranger", SHELF)
    site.install("stranger-shelf", {"shelf": "stranger:Shelf"})

    with pytest.raises(ConfigurationError, match=message):
        build_driver(DriverSpec("shelf", options))


def test_no_error_and_no_repr_shows_a_password(site):
    site.write("stranger", SHELF)
    site.install("stranger-shelf", {"shelf": "stranger:Shelf"})
    spec = DriverSpec("shelf", {"password": "tr0ub4dor", "heigth": 1})

    with pytest.raises(ConfigurationError) as caught:
        build_driver(spec)

    assert "tr0ub4dor" not in f"{caught.value!r} {spec!r}"


@pytest.mark.parametrize("declared", ["contract_version = 0", "contract_version = 99", "pass"])
def test_a_driver_for_another_contract_version_is_refused_by_name(site, declared):
    site.write("dated", f"class Dated:\n    {declared}\n")
    site.install("dated", {"dated": "dated:Dated"})

    with pytest.raises(ContractVersionError, match=r"driver 'dated' is written for contract version \w+, and this is"):
        build_driver(DriverSpec("dated"))
