"""Curve models fitted to counts: maximum likelihood from several starts, beta-binomial noise, profiles.

The noise is beta-binomial with correlation rho, which takes in whatever the cells of one round differ by, the
seeds' own spread included; cells count as independent. A held-out score is the log-loss per answer of later
rounds at the fitted curve.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fits.curves import EDGE, CurveModel, CurveParameter
from analysis.fits.likelihood import beta_binomial
from analysis.fits.profile import Fit, Interval, maximise, profile_interval
from banditrft.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RHO = CurveParameter("rho", "correlation of the answers of one cell", (0.0, 0.99), (0.01,))
STARTS = 8
"""Most searches per model."""


@dataclass(frozen=True)
class Curve:
    """One learning curve as cells; several runs may have a cell at the same round.

    Attributes:
        name: What it is called.
        rounds_N: Round of each cell.
        n_N: Answers behind it, at least 1.
        correct_N: How many were right.
    """

    name: str
    rounds_N: Floats
    n_N: Ints
    correct_N: Ints

    @property
    def answers(self) -> int:
        """All answers."""
        return int(self.n_N.sum())

    def where(self, keep_N: npt.NDArray[np.bool_]) -> "Curve":
        """Some of the cells."""
        return Curve(self.name, self.rounds_N[keep_N], self.n_N[keep_N], self.correct_N[keep_N])

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
    horizon, rate = float(curve.rounds_N.max()), curve.correct_N / curve.n_N
    unit_N = curve.rounds_N / horizon
    dispersed = bool((curve.n_N > 1).any())
    wanted = (*model.parameters, *((RHO,) if dispersed else ()))

    def loss(x: Floats) -> float:
        p_N = _inside(model.curve(x, unit_N))
        each_N = beta_binomial(curve.correct_N, curve.n_N, p_N, float(x[-1]) if dispersed else 0.0)
        value = -float(each_N.sum())
        return value if math.isfinite(value) else 1e12

    ends = {"first": _rate_at(curve, rate, "first"), "last": _rate_at(curve, rate, "last")}
    grid = list(itertools.product(*([ends.get(str(s), s) for s in p.starts] for p in wanted)))
    grid = sorted(grid, key=lambda x: loss(np.array(x, dtype=np.float64)))[:STARTS]
    bounds = [p.bounds for p in wanted]
    starts = [[float(x) for x in start] for start in grid]
    found = maximise(loss, starts, [p.name for p in wanted], n=curve.n_N.size, bounds=bounds)
    none = Interval(None, None, (False, False), level)
    intervals = [profile_interval(loss, found, p.name, level) if profile else none for p in wanted]
    scale = horizon ** np.array([p.power for p in wanted], dtype=np.float64)
    fit = Fit(
        found.names,
        found.estimate * scale,
        found.log_likelihood,
        found.covariance * np.outer(scale, scale),
        found.converged,
        found.n,
        tuple((low * s, high * s) for (low, high), s in zip(bounds, scale.tolist(), strict=True)),
    )
    shown = tuple(_scaled(i, s) for i, s in zip(intervals, scale.tolist(), strict=True))
    warnings = _warnings(found, intervals if profile else [])
    return CurveFit(model, fit, shown, horizon, warnings)


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


def _rate_at(curve: Curve, rate_N: Floats, end: str) -> float:
    """Mean rate of the first or last round, kept off 0 and 1 by half an answer."""
    at = curve.rounds_N.min() if end == "first" else curve.rounds_N.max()
    here = curve.rounds_N == at
    return float((curve.correct_N[here].sum() + 0.5) / (curve.n_N[here].sum() + 1.0))


def _scaled(interval: Interval, scale: float) -> Interval:
    low, high = (None if x is None else x * scale for x in (interval.low, interval.high))
    return Interval(low, high, interval.bounded, interval.level)


def _warnings(fit: Fit, intervals: list[Interval]) -> tuple[str, ...]:
    """One sentence for each parameter that the data do not place."""
    found = [] if fit.converged else ["the search did not converge"]
    for name, interval in zip(fit.names, intervals, strict=len(intervals) > 0):
        if name != "rho" and fit.at_bound(name):
            found.append(f"{name} ends at its bound")
        elif not interval.identified:
            side = "either side" if not any(interval.bounded) else "above" if interval.bounded[0] else "below"
            found.append(f"{name} is not identified: no limit {side}")
    return tuple(found)
