"""Sizes of functions and files: a function fits on a screen, a file has one subject."""

from __future__ import annotations

import ast
from pathlib import Path

import colorcnn

PACKAGE = Path(colorcnn.__file__).parent
MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE = 60, 400

LINES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8").splitlines()
    for path in sorted(PACKAGE.rglob("*.py"))
}


def test_functions_fit_on_a_screen():
    functions = [
        (f"{file}: {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for file, lines in LINES.items()
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [(name, lines) for name, lines in functions if lines > MOST_LINES_OF_A_FUNCTION]


def test_files_have_one_subject():
    lengths = {file: len(lines) for file, lines in LINES.items()}
    assert not {file: lines for file, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE}
