"""The protocol's specification: no interleaving breaks it, and each of its rules is needed."""

from __future__ import annotations

from typing import Any

import model
import pytest

#: Small enough for every run: scripts, faults, and a limit of states.
SMALL: dict[str, tuple[Any, dict[str, int]]] = {
    "two bots: put | erase, put": ((("put",), ("erase", "put")), {"crash": 0, "sql": 1, "lost": 0, "redis": 0}),
    "two bots: put, late | erase": ((("put",), ("erase",)), {"crash": 0, "sql": 0, "lost": 0, "redis": 0, "late": 1}),
    "one bot: put, put, late, no crash": ((("put", "put"),), {"crash": 0, "sql": 1, "lost": 0, "redis": 0, "late": 1}),
    "one bot: put, put": ((("put", "put"),), {"crash": 0, "sql": 2, "lost": 1, "redis": 0}),
    "one bot: put, put, late": ((("put", "put"),), {"crash": 1, "sql": 0, "lost": 0, "redis": 0, "late": 1}),
}
#: Rules whose removal shows soon, and what then goes wrong.
SOON = {
    "conflict": "SILENT",
    "epoch": "ERASED TEXT CAME BACK",
    "fifo": "OWN WRITE SET ASIDE",
    "dedupe": "ONCE",
}
FAULTS = {"crash": 0, "sql": 2, "lost": 1, "redis": 0}
SCRIPTS: dict[str, Any] = {
    "conflict": (("put",), ("put",)),
    "epoch": (("put",), ("erase",)),
    "fifo": (("put", "put"),),
    "dedupe": (("inc",),),
}


@pytest.mark.parametrize("name", SMALL)
def test_no_interleaving_breaks_it(name: str) -> None:
    assert model.explore(*SMALL[name])["violated"] is None


@pytest.mark.parametrize("rule", SOON)
def test_a_rule_that_is_missing_is_missed(rule: str) -> None:
    assert model.explore(SCRIPTS[rule], FAULTS)["violated"] is None
    assert model.explore(SCRIPTS[rule], FAULTS, off=(rule,))["violated"] == SOON[rule]


def test_a_call_that_lands_late_must_look_for_erases_too() -> None:
    scripts, faults = SMALL["two bots: put, late | erase"]

    assert model.explore(scripts, faults, off=("epoch",))["violated"] == "ERASED TEXT CAME BACK"


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [("lanes", "BLIND"), ("overlay", "OWN WRITE NOT SHOWN"), ("overlay_once", "OWN WRITE SHOWN TWICE")],
)
def test_where_a_disk_stalls_reads_are_answered_and_right(rule: str, wrong: str) -> None:
    script, faults = (("inc", "put"),), {"crash": 0, "sql": 0, "lost": 0, "redis": 0, "late": 2}

    assert model.explore(script, faults)["violated"] is None
    assert model.explore(script, faults, off=(rule,))["violated"] == wrong


@pytest.mark.long
@pytest.mark.parametrize("name", model.SCENARIOS)
def test_no_interleaving_of_any_scenario_breaks_it(name: str) -> None:
    assert model.explore(*model.SCENARIOS[name])["violated"] is None


@pytest.mark.long
@pytest.mark.parametrize("rule", model.RULES)
def test_every_rule_is_needed(rule: str) -> None:
    found = (model.explore(*scenario, off=(rule,), limit=700_000) for scenario in model.SCENARIOS.values())

    assert any(one["violated"] for one in found)


def test_every_rule_is_mapped_to_what_keeps_it() -> None:
    assert all(rule in (model.__doc__ or "") for rule in model.RULES)
    assert len(model.RULES) == model.SPECIFIED + 3 == 19
