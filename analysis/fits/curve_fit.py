"""Curve models fitted to counts: maximum likelihood from several starts, beta-binomial noise, profiles.

The noise is beta-binomial with correlation rho, which takes in whatever the cells of one round differ by, the
seeds' own spread included; rho gets no interval, it is there for the others. Counts are compared with the
model through the success probability of each round, so the model is evaluated once per round and its
derivatives by central differences there; everything per cell is compiled. A held-out score is the log-loss
per answer of later rounds at the fitted curve.

Runs are the units of the intervals. Cells of one run are no replicates of one another: a run that learns
late is low at every round. Of several runs the deviance of the cells is therefore divided by the ratio of
the runs' sandwich variance to the curvature's (Chandler and Bate, Biometrika 94, 2007), or by 1 where runs
differ less than their cells, and held against Student's t with runs - 1 degrees of freedom. Of one run the
cells are all there is: their spread is fitted, and the cutoff is the one that makes the interval of a
normal regression with as many cells exactly Student's.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from analysis.fits.curves import CURVES, EDGE, CurveModel, CurveParameter
from analysis.fits.profile import DIFFERENCE, DOUBLINGS, Fit, Interval, _crossing, _on_edge
from banditrft.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LARGE = 20.0
"""Argument from which Stirling's series is exact to rounding."""
Cells = tuple[Ints, Ints, Floats, Floats, Floats]
"""Round, run, answers, right answers and weight of each."""
CURVE_STEP = 1e-5
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
        step_I = CURVE_STEP * np.maximum(1.0, np.abs(place_I))
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


Bounds = tuple[tuple[float, float], ...]
ROUGH = {"ftol": 1e-7, "gtol": 1e-3, "maxiter": 200}
"""Where several searches start, the best of their rough ends is gone on with."""
PRECISE = {"ftol": 1e-11, "gtol": 1e-6, "maxiter": 400}
FLAT = 1e-2
"""Largest slope, per unit of the search scale, at which a search has ended at a maximum."""


def search(loss: CurveLoss, starts: Sequence[Sequence[float]], bounds: Bounds, n: int) -> Fit:
    """Best of several searches.

    Args:
        loss: Of parameters on their search scales.
        starts: Where searches begin, (P,) each.
        bounds: Edges of the parameter space.
        n: Cells, for BIC.
    """
    best_x, best = np.asarray(starts[0], dtype=np.float64), math.inf
    for start in starts:
        x, value = _minimum(loss, np.asarray(start, dtype=np.float64), bounds, ROUGH)
        if value < best:
            best_x, best = x, value
    best_x, best = _minimum(loss, best_x, bounds, PRECISE)
    slope = loss.with_gradient(best_x)[1]
    inner = [i for i, (low, high) in enumerate(bounds) if not _on_edge(float(best_x[i]), low, high)]
    converged = bool(np.all(np.abs(slope[inner]) <= FLAT * max(1.0, abs(best) * 1e-3)))
    names = tuple(p.name for p in loss.wanted)
    return Fit(names, best_x, -best, _covariance(loss, best_x, inner), converged, n, bounds)


def _minimum(loss: CurveLoss, x: Floats, bounds: Bounds, options: dict[str, float]) -> tuple[Floats, float]:
    from scipy.optimize import minimize

    found = minimize(loss.with_gradient, x, method="L-BFGS-B", jac=True, bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64), float(found.fun)


def _covariance(loss: CurveLoss, x: Floats, inner: Sequence[int]) -> Floats:
    """Inverse Hessian over the parameters inside their bounds; NaN elsewhere."""
    hessian = np.empty((len(inner), len(inner)))
    for a, i in enumerate(inner):
        step = DIFFERENCE * max(1.0, abs(float(x[i])))
        up, down = x.copy(), x.copy()
        up[i], down[i] = x[i] + step, x[i] - step
        hessian[a] = (loss.with_gradient(up)[1] - loss.with_gradient(down)[1])[inner] / (2.0 * step)
    hessian = (hessian + hessian.T) / 2.0
    out = np.full((x.size, x.size), np.nan)
    if inner and np.all(np.isfinite(hessian)) and np.all(np.linalg.eigvalsh(hessian) > 0):
        out[np.ix_(inner, inner)] = np.linalg.inv(hessian)
    return out


def cutoffs(loss: CurveLoss, fit: Fit, level: float) -> Floats:
    """Deviance at which each parameter's interval ends, (P,); NaN where the data give none.

    Args:
        loss: What was fitted.
        fit: Its maximum.
        level: Nominal coverage.
    """
    from scipy.stats import chi2, t

    size, cells = len(loss.model.parameters), loss.n_N.size
    if loss.runs > 1:
        quantile = float(t.ppf(0.5 + level / 2.0, loss.runs - 1))
        return quantile**2 * np.maximum(_widening(loss, fit), 1.0)
    if fit.estimate.size == size:  # single answers: nothing is overdispersed
        return np.full(fit.estimate.size, float(chi2.ppf(level, 1)))
    if cells <= size:
        return np.full(fit.estimate.size, np.nan)
    quantile = float(t.ppf(0.5 + level / 2.0, cells - size))
    return np.full(fit.estimate.size, cells * math.log1p(quantile**2 / (cells - size)))


def _widening(loss: CurveLoss, fit: Fit) -> Floats:
    """Sandwich variance with runs as clusters over the curvature's, (P,); NaN without a curvature."""
    inner = np.flatnonzero(np.isfinite(np.diag(fit.covariance)))
    out = np.full(fit.estimate.size, np.nan)
    if inner.size:
        inverse = fit.covariance[np.ix_(inner, inner)]
        moved_RF = loss.scores(fit.estimate)[:, inner] @ inverse
        moved_RF = moved_RF - moved_RF.mean(axis=0)
        robust_F = loss.runs / (loss.runs - 1) * (moved_RF**2).sum(axis=0)
        out[inner] = robust_F / np.diag(inverse)
    return out


def interval(loss: CurveLoss, fit: Fit, place: int, cutoff: float, level: float) -> Interval:
    """Where the profile deviance of one parameter passes a cutoff.

    Args:
        loss: What was fitted.
        fit: Its maximum.
        place: Which parameter.
        cutoff: In deviance; NaN gives no limits.
        level: Nominal coverage that the cutoff stands for.
    """
    if not math.isfinite(cutoff):
        return Interval(None, None, (False, False), level)
    low, high = (_limit(loss, fit, place, side, math.sqrt(cutoff)) for side in (-1.0, 1.0))
    return Interval(low, high, (low is not None, high is not None), level)


def holds(loss: CurveLoss, fit: Fit, place: int, value: float, cutoff: float) -> bool:
    """Whether one parameter's interval holds a value on its search scale: its deviance is below the cutoff.

    The same answer as the interval's limits give, for the price of a refit or two.
    """
    starts = (_along(fit, place, value), np.delete(fit.estimate, place))
    return any(
        2.0 * (_refit(loss, fit, place, value, start)[0] + fit.log_likelihood) <= cutoff for start in starts
    )


def _along(fit: Fit, place: int, value: float) -> Floats:
    """Where the other parameters are expected at a value of one, were the likelihood a normal's."""
    others = np.delete(np.arange(fit.estimate.size), place)
    slope = np.nan_to_num(fit.covariance[others, place] / fit.covariance[place, place])
    low, high = np.array(fit.bounds or ())[others].T if others.size else (np.zeros(0), np.zeros(0))
    expected = fit.estimate[others] + slope * (value - fit.estimate[place])
    return np.asarray(np.clip(expected, low, high), dtype=np.float64)


def _limit(loss: CurveLoss, fit: Fit, place: int, side: float, reach: float) -> float | None:
    """Where the signed root of the profile deviance passes ``reach`` on one side of the estimate."""
    bounds = fit.bounds or ()
    centre, edge = float(fit.estimate[place]), side * bounds[place][side > 0]
    room, warm = edge - side * centre, np.delete(fit.estimate, place)
    if room <= 0.0:
        return centre

    def root(distance: float) -> float:
        nonlocal warm
        at = centre + side * distance
        ends = [_refit(loss, fit, place, at, others) for others in (warm, _along(fit, place, at))]
        value, others = min(ends, key=lambda end: end[0])
        over = math.sqrt(min(max(2.0 * (value + fit.log_likelihood), 0.0), IMPOSSIBLE)) - reach
        if over < 0.0:  # beyond the limit others may lie where nothing has a slope: no refit starts there
            warm = others
        return over

    error = fit.standard_error(fit.names[place])
    step = error if math.isfinite(error) else 0.1 * max(1.0, abs(centre))
    inner, short, outer = 0.0, -reach, min(reach * step, room)
    for _ in range(DOUBLINGS):
        over = root(outer)
        if over >= 0.0:
            return centre + side * _crossing(root, (inner, short), (outer, over))
        if outer >= room:
            return side * edge
        inner, short, outer = outer, over, min(2.0 * outer, room)
    return None


def _refit(loss: CurveLoss, fit: Fit, place: int, value: float, warm: Floats) -> tuple[float, Floats]:
    """Least loss over the other parameters, and where; they are searched in standard errors."""
    from scipy.optimize import minimize

    z = np.insert(warm, place, value)
    if warm.size == 0:
        return loss(z), warm
    others = np.delete(np.arange(z.size), place)
    error_P = np.sqrt(np.diag(fit.covariance))
    unit = np.where(np.isfinite(error_P), error_P, 1.0)[others]

    def at(scaled: Floats) -> tuple[float, Floats]:
        z[others] = scaled * unit
        found, slope = loss.with_gradient(z)
        return found, slope[others] * unit

    bounds = np.array(fit.bounds or ())[others] / unit[:, None]
    found = minimize(at, warm / unit, method="L-BFGS-B", jac=True, bounds=bounds, options=PRECISE)
    return float(found.fun), np.asarray(found.x * unit, dtype=np.float64)


RHO = CurveParameter("rho", "correlation of the answers of one cell", (1e-7, 0.99), (1e-4, 0.05))
STARTS = 6
"""Most searches per model, beside those from the model without a ceiling."""
NEXT_TO_ONE = 1.0 - 1e-4
"""A ceiling from which a search can go either way."""


@dataclass(frozen=True)
class Curve:
    """One learning curve as cells; several runs may have a cell at the same round.

    Attributes:
        name: What it is called.
        rounds_N: Round of each cell.
        n_N: Answers behind it, at least 1.
        correct_N: How many were right.
        run_N: Which run it belongs to, any numbers; None: all are of one run.
    """

    name: str
    rounds_N: Floats
    n_N: Ints
    correct_N: Ints
    run_N: Ints | None = None

    @property
    def answers(self) -> int:
        """All answers."""
        return int(self.n_N.sum())

    def where(self, keep_N: NDArray[np.bool_]) -> "Curve":
        """Some of the cells."""
        run_N = None if self.run_N is None else self.run_N[keep_N]
        return Curve(self.name, self.rounds_N[keep_N], self.n_N[keep_N], self.correct_N[keep_N], run_N)

    def split(self, entries: int) -> tuple["Curve", "Curve"]:
        """The cells of the first rounds, and the rest."""
        last = np.unique(self.rounds_N)[entries - 1]
        return self.where(self.rounds_N <= last), self.where(self.rounds_N > last)


@dataclass(frozen=True)
class CurveFit:
    """A curve model fitted to a curve; parameters in rounds.

    Attributes:
        model: Which model.
        fit: Parameters, rho last where it was fitted.
        intervals: Profile-likelihood interval of each.
        horizon: Last fitted round.
        warnings: What its reader must know.
    """

    model: CurveModel
    fit: Fit
    intervals: tuple[Interval, ...]
    horizon: float
    warnings: tuple[str, ...]

    def predict(self, rounds_T: Floats) -> Floats:
        """Success probability at rounds, (T,)."""
        powers = [p.power for p in self.model.parameters]
        scaled = self.fit.estimate[: len(powers)] / self.horizon ** np.array(powers, dtype=np.float64)
        return _off_edges(self.model.curve(scaled, rounds_T / self.horizon))


def fit_curve(model: CurveModel, curve: Curve, *, level: float = 0.95, profile: bool = True) -> CurveFit:
    """Fit one model.

    Args:
        model: Which.
        curve: Cells at two or more rounds.
        level: Nominal coverage of the intervals.
        profile: Whether to compute intervals; without, they have no limits.

    Raises:
        InputError: Fewer rounds than parameters of the curve, or every answer was right, or wrong.
    """
    check_curve(curve, len(model.parameters))
    horizon = float(curve.rounds_N.max())
    loss, starts, bounds = prepared(model, curve)
    found = search(loss, starts, bounds, curve.n_N.size)
    ends = cutoffs(loss, found, level) if profile else np.full(found.estimate.size, np.nan)
    ends[len(model.parameters) :] = np.nan  # rho
    intervals = [interval(loss, found, i, float(end), level) for i, end in enumerate(ends)]
    shown = tuple(_natural(i, p, horizon) for i, p in zip(intervals, loss.wanted, strict=True))
    warnings = _warnings(found, intervals if profile else [], ends)
    return CurveFit(model, _natural_fit(found, loss.wanted, horizon), shown, horizon, warnings)


def prepared(
    model: CurveModel, curve: Curve
) -> tuple[CurveLoss, list[tuple[float, ...]], tuple[tuple[float, float], ...]]:
    """The loss of a model on a curve, where searches begin, and the bounds; on the scales of the search.

    Args:
        model: Which.
        curve: Cells at two or more rounds.
    """
    wanted = (*model.parameters, *((RHO,) if (curve.n_N > 1).any() else ()))
    run_N = np.zeros(curve.n_N.size, np.int64) if curve.run_N is None else curve.run_N
    run_N = np.unique(run_N, return_inverse=True)[1]
    times_N = curve.rounds_N / float(curve.rounds_N.max())
    loss = CurveLoss(model, wanted, times_N, curve.n_N, curve.correct_N, run_N)
    rates = {name: _rate(curve, name) for name in ("first", "last", "mean")}
    grid = itertools.product(*([p.searched(float(rates.get(str(s), s))) for s in p.starts] for p in wanted))
    starts = sorted(grid, key=lambda z: loss(np.array(z)))[:STARTS]
    if model.smaller is not None:
        starts += _without_ceiling(CURVES[model.smaller], curve, wanted)
    return loss, starts, tuple((p.searched(p.bounds[0]), p.searched(p.bounds[1])) for p in wanted)


def _without_ceiling(
    smaller: CurveModel, curve: Curve, wanted: Sequence[CurveParameter]
) -> list[tuple[float, ...]]:
    """The optimum of a model without a ceiling, with one of 1 or next to it: the larger model is no worse."""
    loss, starts, bounds = prepared(smaller, curve)
    found = search(loss, starts, bounds, curve.n_N.size).estimate.tolist()
    size = len(smaller.parameters)
    ceilings = (wanted[size].searched(c) for c in (wanted[size].bounds[1], NEXT_TO_ONE))
    return [(*found[:size], ceiling, *found[size:]) for ceiling in ceilings]


def held_out(predict: Callable[[Floats], Floats], later: Curve) -> tuple[float, float]:
    """Log-loss per answer of later cells, nats, and the mean absolute error of their rounds' mean rates.

    Args:
        predict: Rounds -> success probability.
        later: Cells that were not fitted.
    """
    p_N = predict(later.rounds_N)
    right, wrong = later.correct_N, later.n_N - later.correct_N
    loss = -float((right * np.log(p_N) + wrong * np.log1p(-p_N)).sum() / later.n_N.sum())
    rounds_T, at_N = np.unique(later.rounds_N, return_inverse=True)
    rate_T = np.bincount(at_N, right) / np.bincount(at_N, later.n_N)
    return loss, float(np.abs(rate_T - predict(rounds_T)).mean())


def check_curve(curve: Curve, parameters: int) -> None:
    """Refuse a curve that no model can be fitted to.

    Args:
        curve: Cells.
        parameters: Parameters of the model's curve.

    Raises:
        InputError: Fewer rounds than that or than two, or every answer was right, or wrong.
    """
    rounds = np.unique(curve.rounds_N).size
    if rounds < max(2, parameters):
        raise InputError(f"{curve.name}: {parameters} parameters need as many rounds, and 2, got {rounds}")
    if curve.correct_N.sum() in (0, curve.answers):
        raise InputError(f"{curve.name}: every answer is {'right' if curve.correct_N[0] else 'wrong'}")


def _off_edges(p: Floats) -> Floats:
    return np.asarray(np.clip(np.nan_to_num(p, nan=EDGE), EDGE, 1.0 - EDGE), dtype=np.float64)


def _rate(curve: Curve, name: str) -> float:
    """Mean rate of the first or last round or of all, kept off 0 and 1 by half an answer."""
    at = {"first": curve.rounds_N.min(), "last": curve.rounds_N.max()}.get(name)
    here = np.full(curve.n_N.size, True) if at is None else curve.rounds_N == at
    return float((curve.correct_N[here].sum() + 0.5) / (curve.n_N[here].sum() + 1.0))


def _natural(interval: Interval, parameter: CurveParameter, horizon: float) -> Interval:
    unit = horizon**parameter.power
    low, high = (None if x is None else parameter.natural(x) * unit for x in (interval.low, interval.high))
    return Interval(low, high, interval.bounded, interval.level)


def _natural_fit(found: Fit, wanted: Sequence[CurveParameter], horizon: float) -> Fit:
    """The fit with its parameters in rounds; covariance by the delta method."""
    values = [p.natural(z) for p, z in zip(wanted, found.estimate.tolist(), strict=True)]
    unit = horizon ** np.array([p.power for p in wanted], dtype=np.float64)
    slope = unit * np.array([p.slope(value) for p, value in zip(wanted, values, strict=True)])
    covariance = found.covariance * np.outer(slope, slope)
    bounds = tuple((p.bounds[0] * u, p.bounds[1] * u) for p, u in zip(wanted, unit.tolist(), strict=True))
    estimate = np.array(values) * unit
    return Fit(found.names, estimate, found.log_likelihood, covariance, found.converged, found.n, bounds)


def _warnings(fit: Fit, intervals: list[Interval], cutoff_P: Floats) -> tuple[str, ...]:
    """One sentence for each parameter that the data do not place; rho may well be 0."""
    found = [] if fit.converged else ["the search did not converge"]
    for i, (own, end) in enumerate(zip(intervals, cutoff_P, strict=False)):
        name, (low, high) = fit.names[i], (fit.bounds or ())[i]
        if name == RHO.name:
            continue
        if fit.at_bound(name):
            found.append(f"{name} ends at its bound")
        if not math.isfinite(end):
            found.append(
                f"{name} gets no interval: the likelihood does not curve there, or has no cell to spare"
            )
            continue
        open_below = own.low is None or own.low <= low
        open_above = own.high is None or own.high >= high
        if open_below or open_above:
            side = "on either side" if open_below and open_above else "below" if open_below else "above"
            found.append(f"{name} is not identified: its interval has no limit {side}")
    return tuple(found)
