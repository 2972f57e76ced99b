"""Modules and functions stay of a size that one person reads at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    file
    for pattern in ("whisper_persistence/**/*.py", "drivers/**/*.py", "contrib/*/src/**/*.py")
    for file in ROOT.glob(pattern)
    if file.parent.name != "versions"  # a migration is a list of what is made, in one function
)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix())
def test_a_module_is_one_page_of_reading(module):
    text = module.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert len(text.splitlines()) <= 250
    assert not [node.name for node in functions if _length(node) > 45]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines the body takes, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
