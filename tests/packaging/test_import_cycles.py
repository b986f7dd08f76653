"""Imports form no circle, those within functions and under TYPE_CHECKING included; `llm_runs.tiny` has one door."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("banditrft", "sims", "llm_runs", "analysis")
Graph = dict[str, set[str]]
KNOWN: list[list[str]] = []
"""Circles of folders that are still to be opened."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(path): path for room in ROOMS for path in (ROOT / room).rglob("*.py")}


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of ours that a file names in imports, wherever they stand in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom) and node.module in FILES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


GRAPH: Graph = {
    module: set(imported(ast.parse(path.read_text(encoding="utf-8")))) - {module}
    for module, path in FILES.items()
}


def circles(graph: Graph) -> list[list[str]]:
    """Sets of nodes that reach one another (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            component, stack[at:] = stack[at:], []
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def folder(module: str) -> str:
    """The part of a room that a module belongs to: a file of its own, or a folder."""
    return ".".join(module.split(".")[:2])


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_imports_form_no_circle():
    assert circles(GRAPH) == []


def test_folders_form_no_circle():
    folders: Graph = {folder(module): set() for module in GRAPH}
    for module, others in GRAPH.items():
        folders[folder(module)] |= {folder(other) for other in others} - {folder(module)}
    assert circles(folders) in ([], KNOWN)


def test_tiny_models_stand_behind_one_door():
    inside = {
        (module, other)
        for module, others in GRAPH.items()
        for other in others
        if other.startswith("llm_runs.tiny.") and not module.startswith("llm_runs.tiny")
    }
    assert inside == set()
