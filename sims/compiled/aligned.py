"""Arrays that begin at a cache line: vector loads that straddle two lines cost twice (a tenth of a run)."""

import math

import numpy as np
from numpy.typing import NDArray

LINE = 64
"""Bytes of a cache line, and of the widest vector register."""


def zeros(*shape: int) -> NDArray[np.float64]:
    """Zeros in double precision whose first byte is the first of a cache line.

    Args:
        shape: Of the array; rows begin at a line, too, where the last axis is a multiple of 8 long.
    """
    size = math.prod(shape)
    raw = np.zeros(size + LINE // 8)
    first = -raw.ctypes.data % LINE // 8
    return raw[first : first + size].reshape(shape)


def copy(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same numbers from a cache line on."""
    out = zeros(*array.shape)
    out[...] = array
    return out
