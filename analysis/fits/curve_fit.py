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
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from analysis.fits.curves import CURVES, EDGE, CurveModel, CurveParameter
from analysis.fits.likelihood import LARGE, Fit, Interval, Profile, compiled, log_rising, maximise
from banditrft.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Cells = tuple[Ints, Ints, Floats, Floats, Floats]
"""Round, run, answers, right answers and weight of each."""
CURVE_STEP = 1e-5
"""Relative step of the curve's derivatives."""
IMPOSSIBLE = 1e12
RHO = CurveParameter("rho", "correlation of the answers of one cell", (1e-7, 0.99), (1e-4, 0.05))
STARTS = 6
"""Most searches per model, besides those from the model without a ceiling."""
NEXT_TO_ONE = 1.0 - 1e-4
"""A ceiling from which a search can go either way."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One learning curve as cells; several runs may have a cell at the same round. Equal only to itself.

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

    @cached_property
    def merged(self) -> Cells:
        """Cells of the same round with the same counts as one, runs left out."""
        cells = np.stack([self.place_N, self.n_N, self.correct_N])
        same_4M, times_M = np.unique(cells, axis=1, return_counts=True)
        return (
            same_4M[0].astype(np.int64),
            np.zeros(times_M.size, np.int64),
            same_4M[1].astype(np.float64),
            same_4M[2].astype(np.float64),
            times_M.astype(np.float64),
        )

    @cached_property
    def place_N(self) -> Ints:
        """Place of each cell's round among the rounds."""
        return np.asarray(np.unique(self.rounds_N, return_inverse=True)[1], dtype=np.int64)

    def where(self, keep_N: NDArray[np.bool_]) -> "Curve":
        """Some of the cells."""
        run_N = None if self.run_N is None else self.run_N[keep_N]
        return Curve(self.name, self.rounds_N[keep_N], self.n_N[keep_N], self.correct_N[keep_N], run_N)

    def split(self, entries: int) -> tuple["Curve", "Curve"]:
        """The cells of the first rounds, and the rest."""
        last = np.unique(self.rounds_N)[entries - 1]
        return self.where(self.rounds_N <= last), self.where(self.rounds_N > last)


@compiled
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


@compiled
def _inside(p: float) -> float:
    """Kept off 0 and 1; what is no number counts as 0."""
    return min(p, 1.0 - EDGE) if p > EDGE else EDGE


@compiled
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
    last, all_answers, of_n = -1.0, 0.0, 0.0
    for m in range(len(n_M)):
        u, r, k, n, w = round_M[m], run_M[m], correct_M[m], n_M[m], weight_M[m]
        p = _inside(curve_BU[0, u])
        if rho == 0.0:
            total += w * (k * math.log(p) + (n - k) * math.log1p(-p))
            by_p = w * (k / p - (n - k) / (1.0 - p))
        else:
            a, b = p * scale, (1.0 - p) * scale
            if n != last:
                last, all_answers, of_n = n, log_rising(scale, n, scale), _reciprocals(scale, n)
            total += w * (log_rising(a, k, scale) + log_rising(b, n - k, scale) - all_answers)
            of_a, of_b = _reciprocals(a, k), _reciprocals(b, n - k)
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
        curve: The cells.
    """

    def __init__(self, model: CurveModel, wanted: Sequence[CurveParameter], curve: Curve) -> None:
        self.model, self.wanted, self.curve = model, tuple(wanted), curve
        self.times_U = np.unique(curve.rounds_N / float(curve.rounds_N.max()))
        run_N = np.zeros(curve.n_N.size, np.int64) if curve.run_N is None else curve.run_N
        self.run_N = np.unique(run_N, return_inverse=True)[1].astype(np.int64)
        self.runs = int(self.run_N.max()) + 1
        n_N, k_N = curve.n_N, curve.correct_N
        self.constant = float((gammaln(n_N + 1.0) - gammaln(k_N + 1.0) - gammaln(n_N - k_N + 1.0)).sum())

    def __call__(self, z: Floats) -> float:
        """The loss alone."""
        return self.with_gradient(z)[0]

    def with_gradient(self, z: Floats) -> tuple[float, Floats]:
        """The loss and its gradient, (P,)."""
        loss, slope_1P = self._derived(z, self.curve.merged, 1)
        return loss, slope_1P[0]

    def scores(self, z: Floats) -> Floats:
        """Each run's part of the gradient, (R, P)."""
        n_N, k_N = self.curve.n_N.astype(np.float64), self.curve.correct_N.astype(np.float64)
        cells = (self.curve.place_N, self.run_N, n_N, k_N, np.ones(n_N.size))
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


def cutoffs(loss: CurveLoss, fit: Fit, level: float) -> Floats:
    """Deviance at which each parameter's interval ends, (P,); NaN where the data give none.

    Args:
        loss: What was fitted.
        fit: Its maximum.
        level: Nominal coverage.
    """
    from scipy.stats import chi2, t

    size, cells = len(loss.model.parameters), loss.curve.n_N.size
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
    loss, found = searched(model, curve)
    ends = cutoffs(loss, found, level) if profile else np.full(found.estimate.size, np.nan)
    ends[len(model.parameters) :] = np.nan  # rho
    intervals = [
        Profile(loss, found, name).interval(float(end), level)
        for name, end in zip(found.names, ends, strict=True)
    ]
    shown = tuple(_natural(i, p, horizon) for i, p in zip(intervals, loss.wanted, strict=True))
    warnings = _warnings(found, intervals if profile else [], ends)
    return CurveFit(model, _natural_fit(found, loss.wanted, horizon), shown, horizon, warnings)


@lru_cache(maxsize=32)
def searched(model: CurveModel, curve: Curve) -> tuple[CurveLoss, Fit]:
    """The loss of a model on a curve and its minimum, both on the scales of the search.

    Searches begin where the parameters say, and, for a model with a ceiling, at the optimum of the one
    without it, with a ceiling of 1 or next to it: the larger model is no worse.

    Args:
        model: Which.
        curve: Cells at two or more rounds.
    """
    wanted = (*model.parameters, *((RHO,) if (curve.n_N > 1).any() else ()))
    loss = CurveLoss(model, wanted, curve)
    rates = {name: _rate(curve, name) for name in ("first", "last", "mean")}
    grid = itertools.product(*([p.searched(float(rates.get(str(s), s))) for s in p.starts] for p in wanted))
    starts = sorted(grid, key=lambda z: loss(np.array(z)))[:STARTS]
    if model.smaller is not None:
        smaller = CURVES[model.smaller]
        optimum, size = searched(smaller, curve)[1].estimate.tolist(), len(smaller.parameters)
        ceilings = (wanted[size].searched(c) for c in (wanted[size].bounds[1], NEXT_TO_ONE))
        starts += [(*optimum[:size], ceiling, *optimum[size:]) for ceiling in ceilings]
    bounds = [(p.searched(p.bounds[0]), p.searched(p.bounds[1])) for p in wanted]
    names = [p.name for p in wanted]
    return loss, maximise(loss, starts, names, n=curve.n_N.size, bounds=bounds)


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
