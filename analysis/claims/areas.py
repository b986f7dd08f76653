"""Areas under the curve of each run, and the variance that evaluation alone gives them.

The noise of an evaluation is taken as binomial in its pooled rate, p (1 - p) / (n - 1). Items of unequal
difficulty have less, so that a ratio to it errs towards 1.
"""

import numpy as np

from analysis.claims.worlds import Floats, Ints
from analysis.loading.records import Cell

FEWEST = 3
"""Runs that make a spread, and evaluations that make a curve."""


def area(cell: Cell) -> Floats:
    """Mean train Pass@1 over the rounds of each run, by the trapezoid rule."""
    return np.asarray(cell.train @ weights(cell.rounds), dtype=np.float64)


def curve_noise(cell: Cell) -> Floats:
    """(N, E) variance of each train evaluation from its sampling alone."""
    return noise(cell.train, cell.train_samples)


def area_noise(cell: Cell) -> Floats:
    """Variance of each run's area from evaluation alone."""
    return curve_noise(cell) @ weights(cell.rounds) ** 2


def test_area(cell: Cell) -> Floats:
    """Mean test Pass@1 over the rounds of each run, by the trapezoid rule."""
    return np.asarray(cell.test_curve @ weights(cell.test_rounds), dtype=np.float64)


def test_area_noise(cell: Cell) -> Floats:
    """Variance of each run's area under the test curve from evaluation alone."""
    return noise(cell.test_curve, cell.test_curve_samples) @ weights(cell.test_rounds) ** 2


def noise(curve_NE: Floats, samples_NE: Ints) -> Floats:
    """Variance of each evaluation of a curve, estimated without bias."""
    return np.asarray(curve_NE * (1 - curve_NE) / np.maximum(samples_NE - 1, 1), dtype=np.float64)


def gain_noise(cell: Cell) -> Floats:
    """Variance of each run's gain in test Pass@1 from evaluation alone."""
    ends = np.stack([cell.test_base, cell.test], axis=1)
    return np.asarray((ends * (1 - ends) / np.maximum(cell.test_samples - 1, 1)).sum(axis=1))


def weights(rounds_E: Floats) -> Floats:
    """Weights of evaluations in the mean over the rounds, by the trapezoid rule."""
    gaps = np.diff(rounds_E)
    weights = np.concatenate([gaps, [0.0]]) + np.concatenate([[0.0], gaps])
    return np.asarray(weights / weights.sum(), dtype=np.float64)
