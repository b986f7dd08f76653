"""docs/theory.md: every function and every test named in its tables exists."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
FUNCTIONS = sorted(set(re.findall(r"`(banditrft\.(?:theory|predict)[\w.]*)`", TEXT)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


def test_the_tables_are_found():
    assert len(FUNCTIONS) >= 30
    assert len(TESTS) >= 30


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_exists(name):
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            value = getattr(value, part)
        return
    pytest.fail(f"{name} does not exist")


@pytest.mark.parametrize("name", TESTS)
def test_test_exists(name):
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not function or function in defined
