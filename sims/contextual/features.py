"""A file of contexts in place of drawn ones: read and checked (theory §6)."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError

Floats = NDArray[np.float64]
BROKEN = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged, encrypted or foreign npz file raises, and a single array in its place."""
LARGEST = 1e100
"""Largest size of a number: squares and sums of it stay finite."""
REQUIRED, OPTIONAL = ("train", "test", "w0"), ("train_offset", "test_offset")


@dataclass(frozen=True)
class Features:
    """Contexts that a user brings.

    Attributes:
        train_ND: Training queries, shared by all seeds.
        test_MD: Held-out contexts.
        w0_D: Base weights.
        train_offset_N: Log-odds of each training query that no weight changes; 0 by default.
        test_offset_M: Those of the held-out contexts.
    """

    train_ND: Floats
    test_MD: Floats
    w0_D: Floats
    train_offset_N: Floats
    test_offset_M: Floats


def read_features(path: str) -> Features:
    """Read an npz file with arrays train (N, D), test (M, D), w0 (D,) and, optionally, their offsets.

    Raises:
        InputError: The file cannot be read, an array is missing, unknown, not finite or of another shape.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except BROKEN as error:
        raise InputError(f"features: '{path}' is not a readable npz file ({error})") from None
    missing = [name for name in REQUIRED if name not in arrays]
    unknown = sorted(set(arrays) - {*REQUIRED, *OPTIONAL})
    if missing or unknown:
        raise InputError(
            f"features: '{path}' must hold {', '.join(REQUIRED)} and may hold {', '.join(OPTIONAL)}, "
            f"got {', '.join(sorted(arrays))}"
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not (np.abs(array.astype(np.longdouble)) <= LARGEST).all():
            limits = f"finite numbers of at most {LARGEST:g} in size"
            raise InputError(f"features: '{name}' in '{path}' must hold {limits}, got {array.dtype}")
    w0_D = _of_shape(arrays["w0"], path, "w0", (None,))
    D = len(w0_D)
    train_ND = _of_shape(arrays["train"], path, "train", (None, D))
    test_MD = _of_shape(arrays["test"], path, "test", (None, D))
    N, M = len(train_ND), len(test_MD)
    return Features(
        train_ND,
        test_MD,
        w0_D,
        _of_shape(arrays.get("train_offset", np.zeros(N)), path, "train_offset", (N,)),
        _of_shape(arrays.get("test_offset", np.zeros(M)), path, "test_offset", (M,)),
    )


def _of_shape(array: NDArray[np.generic], path: str, name: str, shape: tuple[int | None, ...]) -> Floats:
    """The array in double precision, if it has the wanted shape (None: any length of at least 1)."""
    fits = array.ndim == len(shape) and all(
        have == want if want is not None else have > 0 for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("n >= 1" if want is None else str(want) for want in shape)
        raise InputError(f"features: '{name}' in '{path}' must have shape ({wanted}), got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float64)
