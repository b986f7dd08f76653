"""Curve models fitted to counts: maximum likelihood from several starts, beta-binomial noise, profiles.

The noise is beta-binomial with correlation rho, which takes in whatever the cells of one round differ by, the
seeds' own spread included. Runs are the units of the intervals, or the cells where there is one run
(:mod:`analysis.fits.curve_profile`); rho gets none, it is there for the others. A held-out score is the
log-loss per answer of later rounds at the fitted curve.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fits.curve_loss import CurveLoss
from analysis.fits.curve_profile import cutoffs, interval, search
from analysis.fits.curves import CURVES, EDGE, CurveModel, CurveParameter
from analysis.fits.profile import Fit, Interval
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
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

    def where(self, keep_N: npt.NDArray[np.bool_]) -> "Curve":
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
        return _inside(self.model.curve(scaled, rounds_T / self.horizon))


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


def _inside(p: Floats) -> Floats:
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
