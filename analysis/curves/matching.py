"""Runs of two conditions matched by (query, seed) and compared at equal train Pass@1."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.curves.levels import matched_differences, train_path
from analysis.loading.records import Cell

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """Pairs of runs of two conditions, B minus A.

    Attributes:
        mean_N: Mean difference of test Pass@1 over the levels of each pair.
        end_N: The difference at its highest level.
        low: Lowest train Pass@1 compared in any pair, nan without pairs.
        high: Highest.
        left_out: Common runs without a common stretch.
    """

    mean_N: Floats
    end_N: Floats
    low: float
    high: float
    left_out: int


def match(a: Cell, b: Cell) -> Matched:
    """Match the runs that two conditions have in common, by (query, seed)."""
    of_a, of_b = _paths(a), _paths(b)
    common = [key for key in of_a if key in of_b]
    found = [one for key in common if (one := matched_differences(*of_a[key], *of_b[key])) is not None]
    if not found:
        return Matched(np.empty(0), np.empty(0), float("nan"), float("nan"), len(common))
    differences_NL = np.array([f[0] for f in found])
    ends = np.array([min(f[1] for f in found), max(f[2] for f in found)])
    low, high = (1 / (1 + np.exp(-ends))).tolist()
    return Matched(differences_NL.mean(axis=1), differences_NL[:, -1], low, high, len(common) - len(found))


def evaluated(cell: Cell) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rounds with a train and a test evaluation, and their places in the two curves."""
    rounds, train, test = np.intersect1d(cell.rounds, cell.test_rounds, return_indices=True)
    return rounds, train, test


def _paths(cell: Cell) -> dict[tuple[int, int], tuple[Floats, Floats]]:
    """Rising train log-odds and test Pass@1 of each run, by (query, seed)."""
    _, train, test = evaluated(cell)
    return {
        key: (train_path(cell.train[i, train], cell.train_samples[i, train]), cell.test_curve[i, test])
        for i, key in enumerate(cell.keys())
    }
