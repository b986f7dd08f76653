"""A hash of the code that decides a figure: some functions of `analysis`, and all that they reach there.

The code is read, not run. Names that a function, class or constant takes from its module are followed, through
imports, to what defines them in `analysis`; what lies outside counts by its name alone. A class counts whole.

Left out are docstrings, comments, annotations and the messages of errors. Definitions are numbered as they are
reached, whatever they are called and wherever they stand. So the hash stays when code is moved or renamed, and
changes when code changes.
"""

import ast
import hashlib
import symtable
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
SILENT = {"annotation", "returns", "ctx", "kind", "simple", "type_comment", "type_ignores", "type_params"}
"""Fields of syntax nodes that decide nothing."""
Place = tuple[str, str]
"""Module and name of a definition; the name is empty for the module itself."""


@dataclass
class Module:
    """What a module binds.

    Attributes:
        defined: Name -> statements that define it.
        imported: Name -> where it is from; imports inside functions are among them.
    """

    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, Place] = field(default_factory=dict)


class Sources:
    """The modules of a package, parsed.

    Args:
        root: Folder that holds the package.
        package: Its name.
    """

    def __init__(self, root: Path, package: str) -> None:
        self.modules: dict[str, Module] = {}
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            self.modules[name] = _module(ast.parse(path.read_text(encoding="utf-8")))

    def fingerprint(self, entries: Sequence[str]) -> str:
        """Hash of the entries and of all that they reach, 16 hex digits.

        Args:
            entries: Dotted names of functions, classes or constants.

        Raises:
            LookupError: An entry, or a name that it reaches, is not to be found.
        """
        order = list(dict.fromkeys(map(self.locate, entries)))

        def number(place: Place) -> str:
            if place not in order:
                order.append(place)
            return f"#{order.index(place)}"

        digest = hashlib.sha256()
        for module, name in order:  # grows while it is walked
            for node in self.modules[module].defined[name]:
                digest.update(_plain(node, module, self, number).encode())
        return digest.hexdigest()[:16]

    def locate(self, entry: str) -> Place:
        """Where an entry is defined; one that has moved is found by its name, if that is unique in the package.

        Raises:
            LookupError: It is defined nowhere, or has moved and is defined several times.
        """
        module, _, name = entry.rpartition(".")
        if found := self.definition(module, name):
            return found
        others = [m for m, of in self.modules.items() if name in of.defined]
        if len(others) != 1:
            raise LookupError(f"{entry}: must be defined there or in one other module, found in {others}")
        return others[0], name

    def definition(self, module: str, name: str) -> Place | None:
        """Where a name of a module of the package is defined; None where that is outside, or nowhere."""
        while of := self.modules.get(module):
            if name in of.defined:
                return module, name
            if name not in of.imported:
                return (f"{module}.{name}", "") if f"{module}.{name}" in self.modules else None
            module, name = of.imported[name]
            if not name:
                return (module, "") if module in self.modules else None
        return None


def _module(tree: ast.Module) -> Module:
    """What a parsed module defines, conditionally too, and imports."""
    found = Module()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.imported |= {a.asname or a.name: (node.module or "", a.name) for a in node.names}
        elif isinstance(node, ast.Import):
            found.imported |= {a.asname or a.name: (a.name, "") for a in node.names}
    for node in _statements(tree.body):
        if isinstance(node, DEFINITIONS):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        else:
            continue
        for name in names:
            found.defined.setdefault(name, []).append(node)
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those inside `if` and `try` in their place."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            parts = [node.body, node.orelse, *(h.body for h in getattr(node, "handlers", []))]
            yield from (inner for part in parts for inner in _statements(part))


def _free(table: symtable.SymbolTable) -> set[str]:
    """Names that a piece of code takes from its module, or imports itself."""
    found = {s.get_name() for s in table.get_symbols() if s.is_global() or s.is_imported()}
    return found.union(*(_free(inner) for inner in table.get_children()))


def _plain(node: ast.stmt, module: str, sources: Sources, number: Callable[[Place], str]) -> str:
    """A definition without what decides no figure, in which what it reaches in the package stands as numbers."""
    free = _free(symtable.symtable(ast.unparse(node), module, "exec"))
    imported = sources.modules[module].imported

    def name(of: str) -> str:
        if of not in free:
            return of
        found = sources.definition(module, of)
        if found and not found[1]:
            raise LookupError(f"{module}: the module {of} may only be used by its attributes")
        if found:
            return number(found)
        source, own = imported.get(of, ("", of))
        return own or source

    def text(part: object) -> str:
        match part:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant(value=str())):
                return ""
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if part is node:
                return fields(part, number((module, part.name)))
            case ast.Name(id=of):
                return name(of)
            case ast.Attribute(value=ast.Name(id=of), attr=attribute) if of in free:
                place = sources.definition(module, of)
                if place is None or place[1]:
                    return f"{name(of)}.{attribute}"
                there = sources.definition(place[0], attribute)
                if there is None or not there[1]:
                    raise LookupError(f"{module}: {of}.{attribute} is no function, class or constant")
                return number(there)
            case ast.Raise(exc=ast.Call(func=error)):
                return f"Raise({text(error)})"
            case ast.AnnAssign(target=target, value=value):
                return f"Assign({text([target])},{text(value)})"
            case ast.AST():
                return fields(part, "")
            case list():
                return f"[{','.join(filter(None, map(text, part)))}]"
        return repr(part)

    def fields(part: ast.AST, called: str) -> str:
        skip = SILENT | ({"name"} if called else set())
        return f"{type(part).__name__}{called}({','.join(text(v) for k, v in ast.iter_fields(part) if k not in skip)})"

    return text(node)


@cache
def analysis() -> Sources:
    """The modules of `analysis` as they are."""
    return Sources(ROOT, "analysis")
