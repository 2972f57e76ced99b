"""Modules and functions stay of a size that one person reads at once."""

from __future__ import annotations

import ast
import re
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


def test_no_line_of_a_log_names_anybody():
    """Whose ids they are is personal: what a logging call is given besides its text never has one."""
    named = [
        f"{module.relative_to(ROOT)}:{call.lineno}"
        for module in MODULES
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("_log.")
        if re.search(r"\b(user_id|conversation_id|message_id|memory_id|intervention_id)\b", ast.unparse(call))
    ]

    assert named == []


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines the body takes, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
