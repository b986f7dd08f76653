"""A generator that nothing but numbers decides: the same data give the same draws under any name or seed."""

import hashlib

import numpy as np
import numpy.typing as npt


def of_data(*numbers: npt.ArrayLike) -> np.random.Generator:
    """A generator keyed by the values and shapes of the numbers that a procedure reads.

    What a study is called, its root seed, and the names and order of its conditions and claims have no part
    in it, so they cannot change a bootstrap's ends. Values count as float64; NaN equals NaN, and -0 equals 0.
    """
    digest = hashlib.sha256()
    for given in numbers:
        values = np.asarray(given, dtype=np.float64) + 0.0  # -0 becomes 0
        values = np.where(np.isnan(values), np.nan, values)
        digest.update(repr(values.shape).encode() + values.astype("<f8").tobytes())
    return np.random.default_rng(int.from_bytes(digest.digest(), "little"))
