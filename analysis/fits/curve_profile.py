"""Fits of a curve's loss by its gradient, and profile intervals whose units are runs.

Cells of one run are no replicates of one another: a run that learns late is low at every round. Of several
runs the deviance of the cells is therefore divided by the ratio of the runs' sandwich variance to the
curvature's (Chandler and Bate, Biometrika 94, 2007), or by 1 where runs differ less than their cells, and
held against Student's t with runs - 1 degrees of freedom. Of one run the cells are all there is: their spread
is fitted, and the cutoff is the one that makes the interval of a normal regression with as many cells exactly
Student's.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.fits.curve_loss import IMPOSSIBLE, CurveLoss
from analysis.fits.profile import DIFFERENCE, DOUBLINGS, Fit, Interval, _crossing, _on_edge

Floats = NDArray[np.float64]
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
