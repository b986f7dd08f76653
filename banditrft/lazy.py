"""Public names of a package that load on first use (PEP 562), so that importing a package stays light."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


def lazy(
    package: str, homes: Mapping[str, str], rooms: tuple[str, ...] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``.

    A module of the package that is called like a public name (`banditrft.predict`) does not take that name's
    place when it is imported.

    Args:
        package: The package's ``__name__``.
        homes: Public name -> module that defines it.
        rooms: Top-level packages that are also reached as attributes of this one.
    """

    def load(name: str) -> Any:
        if name in rooms:
            value: Any = _room(name, package=sys.modules[package])
        elif name in homes:
            value = getattr(import_module(homes[name]), name)
        else:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        there = vars(sys.modules[package]).items()
        own = {name for name, value in there if name.startswith("__") or isinstance(value, ModuleType)}
        return sorted({*own, *homes, *rooms})

    class Package(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            if name not in homes or not isinstance(value, ModuleType):
                super().__setattr__(name, value)

    sys.modules[package].__class__ = Package
    return load, names


def _room(name: str, package: ModuleType) -> ModuleType:
    """A package installed beside another one; refuses a module of the user's that has its name."""
    room = import_module(name)
    if Path(str(room.__file__)).parents[1] != Path(str(package.__file__)).parents[1]:
        raise ImportError(
            f"{name}: {room.__file__} has the name of a package of {package.__name__} and hides it"
        )
    return room
