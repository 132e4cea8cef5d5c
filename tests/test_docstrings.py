"""Form of docstrings: a first line that names or orders, and the arguments of public functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path for room in ("colorcnn", "tools", "tests") for path in (ROOT / room).rglob("*.py"))
PACKAGE = [path for path in FILES if path.is_relative_to(ROOT / "colorcnn")]

RIDDLE = re.compile(r"(What|How|Which|Where|Whether|When|Who|Why)\b|.*[^.!?]$")
"""Beginnings and ends that an imperative verb phrase or a noun phrase does not have."""

INVENTED = ("cannot " + "be meant",)
"""Phrases that say less than a common word."""

HOOKS = re.compile(r"setup|on_[a-z_]+|(training|validation|test|predict)_step|write_on_batch_end|log_metrics")
"""Methods whose arguments Lightning defines."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(
    node: ast.AST, public: bool = True, name: str = "module"
) -> Iterator[tuple[str, bool, Documented]]:
    """Yield name, publicity and node of a module, its classes and its functions."""
    if isinstance(node, Documented):
        yield name, public, node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = public and not child.name.startswith("_") and not isinstance(node, ast.FunctionDef)
            yield from documented(child, inner, child.name)


def in_file(path: Path) -> list[tuple[str, bool, Documented, str]]:
    found = documented(ast.parse(path.read_text(encoding="utf-8")))
    return [(name, public, node, ast.get_docstring(node) or "") for name, public, node in found]


def wants_arguments(node: Documented, docstring: str) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not docstring:
        return False
    given = node.args
    names = {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)} - {"self", "cls"}
    refers = docstring.startswith("See ")  # to the method that it overrides
    return len(names) > 1 and not refers and not HOOKS.fullmatch(node.name)


@pytest.mark.parametrize("rooms", ["colorcnn", "tools", "tests"])
def test_first_lines_name_or_order(rooms):
    wrong = [
        f"{path.relative_to(ROOT)}: {name}: {line}"
        for path in FILES
        if path.is_relative_to(ROOT / rooms)
        for name, _, _, docstring in in_file(path)
        if RIDDLE.match(line := docstring.partition("\n")[0])
    ]
    assert not wrong, "\n".join(wrong)


def test_public_functions_of_several_arguments_explain_them():
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PACKAGE
        for name, public, node, docstring in in_file(path)
        if public and wants_arguments(node, docstring) and "Args:\n" not in docstring
    ]
    assert not wrong, "\n".join(wrong)


def test_invented_phrases_are_gone():
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *FILES]
    wrong = [
        f"{path.relative_to(ROOT)}: {phrase}"
        for path in pages
        for phrase in INVENTED
        if phrase in path.read_text(encoding="utf-8")
    ]
    assert not wrong, "\n".join(wrong)
