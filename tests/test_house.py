"""Modules and functions stay of a size that one person reads at once."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    file
    for pattern in ("whisper_persistence/**/*.py", "drivers/**/*.py", "contrib/*/src/**/*.py")
    for file in ROOT.glob(pattern)
    if file.parent.name != "versions"  # a migration is a list of what is made, in one function
)


def test_a_module_is_one_page_of_reading():
    lines = {module: len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}

    assert len(lines) > 300
    assert not {module.relative_to(ROOT).as_posix(): count for module, count in lines.items() if count > 250}


def test_a_function_is_seen_at_once():
    assert not [f"{module.relative_to(ROOT)}: {name}" for module in MODULES for name in _long_functions(module)]


def _long_functions(module: Path) -> list[str]:
    nodes = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [function.name for function in functions if _length(function) > 45]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines the body takes, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
