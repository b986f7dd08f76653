"""The loss of a curve model on a curve's cells: beta-binomial, with its gradient, and the scores of each run.

Counts are compared with the model through the success probability of each round, so the model is evaluated
once per round and its derivatives by central differences there; everything per cell is compiled.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from analysis.fits.curves import EDGE, CurveModel, CurveParameter

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LARGE = 20.0
"""Argument from which Stirling's series is exact to rounding."""
Cells = tuple[Ints, Ints, Floats, Floats, Floats]
"""Round, run, answers, right answers and weight of each."""
DIFFERENCE = 1e-5
"""Relative step of the curve's derivatives."""
IMPOSSIBLE = 1e12


def _compiled(function: F) -> F:
    return cast(F, cast(Any, numba.njit)(cache=True, nogil=True, error_model="numpy")(function))


@_compiled
def _rising(start: float, count: float, scale: float) -> float:
    """Log of start (start+1) ... (start+count-1) / scale^count, exact to rounding for large arguments."""
    if count == 0.0:
        return 0.0
    if start < LARGE:
        return math.lgamma(start + count) - math.lgamma(start) - count * math.log(scale)
    end = start + count
    between = (start - 0.5) * math.log1p(count / start) + count * math.log(end / scale) - count
    a, b = 1.0 / (end * end), 1.0 / (start * start)
    after = (1 / 12 - a * (1 / 360 - a * (1 / 1260 - a * (1 / 1680 - a / 1188)))) / end
    before = (1 / 12 - b * (1 / 360 - b * (1 / 1260 - b * (1 / 1680 - b / 1188)))) / start
    return between + after - before


@_compiled
def _reciprocals(start: float, count: float) -> float:
    """1/start + 1/(start+1) + ... + 1/(start+count-1): the derivative of the log of a rising factorial."""
    total = 0.0
    while count > 0.0 and start < LARGE:
        total += 1.0 / start
        start += 1.0
        count -= 1.0
    if count <= 0.0:
        return total
    end = start + count
    a, b = 1.0 / (end * end), 1.0 / (start * start)
    after = -0.5 / end - a * (1 / 12 - a * (1 / 120 - a * (1 / 252 - a * (1 / 240 - a / 132))))
    before = -0.5 / start - b * (1 / 12 - b * (1 / 120 - b * (1 / 252 - b * (1 / 240 - b / 132))))
    return total + math.log1p(count / start) + after - before


@_compiled
def _inside(p: float) -> float:
    """Kept off 0 and 1; what is no number counts as 0."""
    return min(p, 1.0 - EDGE) if p > EDGE else EDGE


@_compiled
def _cells(
    curve_BU: Floats,
    step_I: Floats,
    rho: float,
    round_M: Ints,
    run_M: Ints,
    n_M: Floats,
    correct_M: Floats,
    weight_M: Floats,
    slope_RP: Floats,
) -> float:
    """Log-likelihood of all cells; each run's slopes in the parameters, rho last, are filled in.

    Args:
        curve_BU: The curve at each round; then with each parameter moved up, and with each moved down.
        step_I: By how much each of the I parameters was moved.
        rho: Correlation of one cell's answers.
        round_M: Round of each cell.
        run_M: Its run.
        n_M: Answers behind it.
        correct_M: How many were right.
        weight_M: How often the cell was seen.
        slope_RP: Filled; P is I, or I + 1 with rho.
    """
    size = len(step_I)
    slope_RP[:] = 0.0
    total, scale = 0.0, (1.0 - rho) / rho if rho > 0.0 else 0.0
    for m in range(len(n_M)):
        u, r, k, n, w = round_M[m], run_M[m], correct_M[m], n_M[m], weight_M[m]
        p = _inside(curve_BU[0, u])
        if rho == 0.0:
            total += w * (k * math.log(p) + (n - k) * math.log1p(-p))
            by_p = w * (k / p - (n - k) / (1.0 - p))
        else:
            a, b = p * scale, (1.0 - p) * scale
            total += w * (_rising(a, k, scale) + _rising(b, n - k, scale) - _rising(scale, n, scale))
            of_a, of_b, of_n = _reciprocals(a, k), _reciprocals(b, n - k), _reciprocals(scale, n)
            by_p = w * scale * (of_a - of_b)
            if slope_RP.shape[1] > size:
                slope_RP[r, size] -= w * (p * of_a + (1.0 - p) * of_b - of_n) / rho**2
        for i in range(size):
            change = _inside(curve_BU[1 + i, u]) - _inside(curve_BU[1 + size + i, u])
            slope_RP[r, i] += by_p * change / (2.0 * step_I[i])
    return total


class CurveLoss:
    """Negative log-likelihood of a model's parameters on their search scales, and its derivatives.

    Args:
        model: Which model.
        wanted: Its parameters, and rho after them where answers of one cell may be correlated.
        times_N: Time of each cell, 1 at the last fitted round.
        n_N: Answers behind it.
        correct_N: How many were right.
        run_N: Its run, 0..R-1.
    """

    def __init__(
        self,
        model: CurveModel,
        wanted: Sequence[CurveParameter],
        times_N: Floats,
        n_N: Ints,
        correct_N: Ints,
        run_N: Ints,
    ) -> None:
        self.model, self.wanted = model, tuple(wanted)
        self.times_U, round_N = np.unique(times_N, return_inverse=True)
        self.round_N, self.run_N = round_N.astype(np.int64), run_N.astype(np.int64)
        self.n_N, self.correct_N = n_N.astype(np.float64), correct_N.astype(np.float64)
        self.runs = int(run_N.max()) + 1
        ways_N = gammaln(n_N + 1.0) - gammaln(correct_N + 1.0) - gammaln(n_N - correct_N + 1.0)
        self.constant = float(ways_N.sum())
        cells = np.stack([self.round_N, n_N, correct_N])
        same_4M, times_M = np.unique(cells, axis=1, return_counts=True)  # equal cells once
        self._merged = (
            same_4M[0].astype(np.int64),
            np.zeros(times_M.size, np.int64),
            same_4M[1].astype(np.float64),
            same_4M[2].astype(np.float64),
            times_M.astype(np.float64),
        )

    def __call__(self, z: Floats) -> float:
        """The loss alone."""
        return self.with_gradient(z)[0]

    def with_gradient(self, z: Floats) -> tuple[float, Floats]:
        """The loss and its gradient, (P,)."""
        loss, slope_1P = self._derived(z, self._merged, 1)
        return loss, slope_1P[0]

    def scores(self, z: Floats) -> Floats:
        """Each run's part of the gradient, (R, P)."""
        cells = (self.round_N, self.run_N, self.n_N, self.correct_N, np.ones(self.n_N.size))
        return self._derived(z, cells, self.runs)[1]

    def _derived(self, z: Floats, cells: Cells, runs: int) -> tuple[float, Floats]:
        wanted = self.model.parameters
        size, rho = len(wanted), self.rho(z)
        place_I = z[:size]
        step_I = DIFFERENCE * np.maximum(1.0, np.abs(place_I))
        here_I = np.array([p.natural(v) for p, v in zip(wanted, place_I.tolist(), strict=True)])
        curve_BU = np.empty((1 + 2 * size, self.times_U.size))
        curve_BU[0] = self.model.curve(here_I, self.times_U)
        for side, start in ((1.0, 1), (-1.0, 1 + size)):
            for i, value in enumerate((place_I + side * step_I).tolist()):
                x_I = here_I.copy()
                x_I[i] = wanted[i].natural(value)
                curve_BU[start + i] = self.model.curve(x_I, self.times_U)
        slope_RP = np.empty((runs, z.size))
        value = -_cells(curve_BU, step_I, rho, *cells, slope_RP) - self.constant
        if not math.isfinite(value):
            return IMPOSSIBLE, np.zeros((runs, z.size))
        if z.size > size:
            slope_RP[:, size] *= self.wanted[size].slope(rho)
        return value, -slope_RP

    def rho(self, z: Floats) -> float:
        """Correlation of one cell's answers, 0 where it is no parameter."""
        size = len(self.model.parameters)
        return self.wanted[size].natural(float(z[size])) if z.size > size else 0.0
