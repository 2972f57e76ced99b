"""The contract is typed, documented, and the same wherever its names appear."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whisper_persistence
from whisper_persistence import Store
from whisper_persistence.hookspecs import SPECS, Below, hook_names

DOCS = Path(__file__).parents[1] / "docs"
HOOKS = [(spec, name) for spec in SPECS for name in hook_names([spec])]
#: Hooks that are called for each driver by itself, so that no store has them as they are.
LIFECYCLE = {"inspect_schema", "open", "close"}
#: Hooks that the store asks by itself, and those that only an operator's command asks.
INNER = {"note_erasures", "load_erasures", "settle_erasures", "misses_erasure", "erase_again", "back_up", "restore"}
INNER |= {"lease_follower", "remove_chains", "scan_messages", "verify_conversations"}

ASKED = [(spec, name) for spec, name in HOOKS if name not in LIFECYCLE | INNER]

each_hook = pytest.mark.parametrize(("spec", "name"), HOOKS, ids=[name for _, name in HOOKS])
each_asked_hook = pytest.mark.parametrize(("spec", "name"), ASKED, ids=[name for _, name in ASKED])


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: p.annotation for name, p in inspect.signature(function).parameters.items() if name != "self"}


def without_none(annotation: str) -> str:
    return annotation.removesuffix(" | None").replace("rec.", "")


def test_no_hook_is_declared_twice():
    names = [name for _, name in HOOKS]

    assert len(names) == len(set(names)) >= 30


@each_hook
def test_a_hook_has_neither_default_nor_keyword_only_arguments(spec, name):
    kinds = {(p.kind, p.default) for p in inspect.signature(getattr(spec, name)).parameters.values()}

    assert kinds <= {(inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty)}


@each_hook
def test_a_hook_is_typed_and_documented(spec, name):
    function = getattr(spec, name)
    annotations = [*parameters(function).values(), inspect.signature(function).return_annotation]

    assert inspect.Parameter.empty not in annotations
    assert len(inspect.getdoc(function) or "") > 20


@each_hook
def test_a_hook_that_is_asked_down_the_chain_may_answer_none(spec, name):
    asked = getattr(spec, name).whisper_persistence_spec["firstresult"]
    answer = inspect.signature(getattr(spec, name)).return_annotation

    assert asked == (name not in LIFECYCLE)
    assert answer.endswith("None")


@each_hook
def test_the_documentation_names_the_hook_with_its_arguments(spec, name):
    line = f"`{name}({', '.join(parameters(getattr(spec, name)))})`"

    assert line in (DOCS / "hooks.md").read_text(encoding="utf-8")


def test_below_has_every_hook():
    assert all(issubclass(Below, spec) for spec in SPECS)


@pytest.mark.parametrize("face", ["Store", "AsyncStore"])
@each_asked_hook
def test_a_store_mirrors_the_hook(face, spec, name):
    method = getattr(getattr(whisper_persistence, face), name)
    hook = getattr(spec, name)
    answer = inspect.signature(method).return_annotation

    assert _spelled(parameters(method)) == _spelled(parameters(hook))
    assert without_none(answer) == without_none(inspect.signature(hook).return_annotation)
    assert inspect.iscoroutinefunction(method) == (face == "AsyncStore")


def test_a_store_has_nothing_but_the_hooks_and_its_own_life():
    public = {name for name in vars(Store) if not name.startswith("_")}

    assert public - {name for _, name in HOOKS} == {"ask", "from_settings", "metrics"}


def _spelled(annotations: dict[str, Any]) -> dict[str, str]:
    # The face narrows the kind of record that scan walks through from text to one of RECORD_KINDS.
    return {name: without_none(str(hint)).replace("RecordKind", "str") for name, hint in annotations.items()}
