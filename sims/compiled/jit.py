"""How the simulator's loops are compiled, and the two machine operations NumPy has no name for.

Not a numerical library: exponentials live in `sims.compiled.exponential`, random words in
`sims.compiled.philox`. Kernels work on arrays they are given and allocate none, so Numba need not count
references to arrays inside their loops. Compiled code is cached beside the package (or in Numba's user
cache), so a compile is paid once per machine; since kernels are compiled into one another, the cache of one
is valid for one state of its file and of all files of the package that this imports.
"""

import hashlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.options import DefaultOptions
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "forceinline": True}
if hasattr(DefaultOptions, "_nrt"):
    OPTIONS["_nrt"] = False
compile_loop = cast(Any, numba.njit)
cgutils_ = cast(Any, cgutils)
types_ = cast(Any, types)
ROOT = Path(__file__).parents[2]
IMPORT = re.compile(r"^ *from (sims[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


@cache
def sources(file: Path) -> frozenset[Path]:
    """A file of this package and all files of the package that it imports, however far."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        if (path := waiting.pop()) not in found:
            found.add(path)
            waiting += _imported(path)
    return frozenset(found)


@cache
def _imported(file: Path) -> list[Path]:
    """Modules of this package that a file names in `from ... import ...`."""
    names: list[str] = []
    for module, imported in IMPORT.findall(file.read_text(encoding="utf-8")):
        names += [module, *(f"{module}.{name}" for name in re.findall(r"\w+", imported))]
    return [path for name in names if (path := ROOT / (name.replace(".", "/") + ".py")).exists()]


@cache
def _stamp(file: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources(file)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _compile(function: F, fastmath: set[str]) -> F:
    dispatcher = compile_loop(fastmath=fastmath, **OPTIONS)(function)
    cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if cache_file is not None:  # Numba's own stamp knows the file of this function alone
        cache_file._source_stamp = _stamp(Path(inspect.getfile(function)))
    return cast(F, dispatcher)


def kernel(function: F) -> F:
    """Compile a loop: no Python objects, no GIL, IEEE arithmetic except that a*b+c may be fused."""
    return _compile(function, {"contract"})


def reduction(function: F) -> F:
    """Compile a loop whose sums may be taken in any order, which lets them fill vector registers."""
    return _compile(function, {"contract", "reassoc", "nnan", "nsz"})


def _mulhilo(_typing: Any, _a: Any, _b: Any) -> Any:
    signature = types_.UniTuple(types_.uint64, 2)(types_.uint64, types_.uint64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        low = builder.trunc(product, ir.IntType(64))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return cgutils_.pack_array(builder, [high, low])

    return signature, generate


def _power_of_two(_typing: Any, _exponent: Any) -> Any:
    signature = types_.float64(types_.float64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = builder.fptosi(args[0], ir.IntType(32))
        biased = builder.add(whole, ir.Constant(ir.IntType(32), 1023))
        bits = builder.shl(builder.zext(biased, ir.IntType(64)), ir.Constant(ir.IntType(64), 52))
        return builder.bitcast(bits, ir.DoubleType())

    return signature, generate


mulhilo: Callable[[Any, Any], tuple[Any, Any]] = cast(Any, intrinsic)(_mulhilo)
"""High and low 64 bits of the product of two uint64."""
power_of_two: Callable[[float], float] = cast(Any, intrinsic)(_power_of_two)
"""2**k for an integral float64 k in [-1022, 1023]: the exponent's bits are written directly."""
