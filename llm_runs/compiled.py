"""How loops over arrays are compiled here: cached on disk, without the GIL, sums in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
FAST = {"reassoc", "contract", "nsz"}


def compiled(function: F) -> F:
    """Compile a loop whose sums may be taken in any order, which lets them fill vector registers."""
    return cast(F, cast(Any, numba.njit)(cache=True, nogil=True, fastmath=FAST)(function))
