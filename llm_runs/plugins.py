"""Parts that users bring: tasks and graders by dotted path, `module:name`.

Modules are looked for in the current folder first, as `python -m` does, then where Python looks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from banditrft.errors import InputError


def dotted(field: str, path: str) -> Any:
    """What stands under `module:name`.

    Args:
        field: Who asks, for errors.
        path: A module that can be imported, a colon, and a name in it.

    Raises:
        InputError: There is no such module or name, or importing it fails.
    """
    module, _, name = path.partition(":")
    if module == "__main__":
        raise InputError(f"{field}: must stand in a module, which workers can import, got {path!r}")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        where = "the folder of a module must be the current one or stand in PYTHONPATH"
        raise InputError(f"{field}: {path!r} cannot be imported ({reason(error)}; {where})") from error
    except Exception as error:  # foreign code raises anything
        raise InputError(f"{field}: {path!r} cannot be imported ({reason(error)})") from error


def made(field: str, path: str, maker: Callable[[], Any], kind: type) -> Any:
    """What a maker (a class or function without arguments) makes, if it is of that kind.

    Raises:
        InputError: It fails, or makes something else.
    """
    if not callable(maker):
        raise InputError(f"{field}: {path!r} must be a class or function, got {type(maker).__name__}")
    try:
        part = maker()
    except InputError:
        raise
    except Exception as error:  # foreign code raises anything
        raise InputError(f"{field}: {path!r} cannot be made ({reason(error)})") from error
    if not isinstance(part, kind):
        raise InputError(f"{field}: {path!r} must make a {kind.__name__}, got {type(part).__name__}")
    return part


def reason(error: Exception) -> str:
    """An error of foreign code in one line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
