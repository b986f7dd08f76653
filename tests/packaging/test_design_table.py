"""Every function and test named in the tables of design.md, language-models.md and analysis.md exists."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = "".join(
    (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("design.md", "language-models.md", "analysis.md")
)
FUNCTIONS = sorted(set(re.findall(r"`((?:banditrft|sims|llm_runs|analysis)[\w.]*:[\w.]+)`", TEXT)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


def test_the_table_is_found():
    assert len(FUNCTIONS) >= 20
    assert len(TESTS) >= 10


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_exists(name):
    module, _, attribute = name.partition(":")
    value = import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)


@pytest.mark.parametrize("name", TESTS)
def test_test_exists(name):
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not function or function in defined
