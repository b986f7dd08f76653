"""The bootstrap: runs resampled whole, as weights, so that a resample of means is one matrix product.

From the m runs of a stratum m - 1 are drawn with replacement and weighted by m / (m - 1) (Rao and Wu 1988):
the variance of a mean is then right at any m, where drawing m of m gives (m - 1) / m of it. Draws are keyed
by the data: the same numbers give the same draws under any name or seed.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.inference.means import settled
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEWEST_RESAMPLED = 10
"""Runs or pairs below which no percentile bootstrap is given (measured coverage .83 at 5)."""
BLOCK = 4_000_000
"""Weights held at a time."""


def checked_values(values: npt.ArrayLike, dimensions: int, fewest: int = 2) -> Floats:
    """Values of N runs as an array.

    Args:
        values: (N,) or (N, E) finite values.
        dimensions: 1 or 2.
        fewest: Runs needed.

    Raises:
        InputError: Another shape, too few runs, or a value that is not finite (its place is named).
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != dimensions or found.shape[0] < fewest or found.size == 0:
        axes = "(N,)" if dimensions == 1 else "(N, E)"
        raise InputError(f"values: need shape {axes} with N >= {fewest} runs, got shape {found.shape}")
    if not np.isfinite(found).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise InputError(f"values: must be finite, got {found[at]} at {at}")
    return found


def checked_strata(strata_N: npt.ArrayLike | None, n: int) -> list[Ints]:
    """Rows of each stratum, every one with at least two runs; None is one stratum.

    Raises:
        InputError: Not one stratum per run, or a stratum of one run, whose spread is unknown.
    """
    strata = np.zeros(n, dtype=np.int64) if strata_N is None else np.asarray(strata_N)
    if strata.shape != (n,):
        raise InputError(f"strata: need one per run, got shape {strata.shape} for {n} runs")
    labels, place = np.unique(strata, return_inverse=True)
    rows = [np.flatnonzero(place == i) for i in range(labels.size)]
    for label, found in zip(labels, rows, strict=True):
        if found.size < 2:
            raise InputError(f"strata: each needs at least two runs, got {found.size} in stratum {label}")
    return rows


def checked_level(level: float) -> float:
    """A confidence between 0 and 1.

    Raises:
        InputError: It is not.
    """
    if not 0 < level < 1:
        raise InputError(f"level: must lie between 0 and 1, got {level}")
    return level


def weights(rows: list[Ints], resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Bootstrap weights in blocks (R, N), R rows of which each sums to N.

    Args:
        rows: Rows of each stratum (:func:`checked_strata`).
        resamples: Rows in all, at least 1.
        rng: Their source.

    Raises:
        InputError: Fewer than one resample.
    """
    if resamples < 1:
        raise InputError(f"resamples: must be at least 1, got {resamples}")
    n = sum(found.size for found in rows)
    most = max(1, BLOCK // n)
    for start in range(0, resamples, most):
        count = min(most, resamples - start)
        block = np.empty((count, n))
        for found in rows:
            m = found.size
            drawn = rng.integers(0, m, (count, m - 1))
            drawn += m * np.arange(count)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=count * m).reshape(count, m)
            block[:, found] = counts * (m / (m - 1))
        yield block


def moments(values_NE: Floats, rows: list[Ints]) -> tuple[Floats, Floats, Floats]:
    """Mean over runs, its standard error within strata, and Satterthwaite's degrees of freedom, each (E,).

    Args:
        values_NE: (N, E) values.
        rows: Rows of each stratum, at least two runs in each.
    """
    n = values_NE.shape[0]
    within = [settled(values_NE[g].var(axis=0, ddof=1), values_NE[g], axis=0) for g in rows]
    parts = np.array([(g.size / n) ** 2 * v / g.size for g, v in zip(rows, within, strict=True)])
    freedom = np.array([g.size - 1.0 for g in rows])
    total = parts.sum(axis=0)
    squares = (parts**2 / freedom[:, None]).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(total > 0, total**2 / squares, float(freedom.sum()))
    return values_NE.mean(axis=0), np.sqrt(total), df


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
