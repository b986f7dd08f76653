"""The bandit of one query under one condition: base log-odds, effective step, spread of the step over seeds.

The effective step is how far one unit of learning signal moves the log-odds: learning rate x gain, the gain
being |u|^2 under SGD and sum |u_i| under Adam for features u (theory §2, §4, §6), which no setting of a
language model gives away. Every seed has a step of its own, log-normal around a median; the seed is the unit
of replication, so the interval of the median step uses Student's cutoff with seeds - 1 degrees of freedom.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Counts, Geometry
from analysis.fits.bandit_surface import COARSEST, Model, Source, Surface, measured_base, surface
from analysis.fits.profile import Fit, Interval, maximise, profile_interval
from banditrft.worlds import WorldSettings

Floats = NDArray[np.float64]
NAMES = ("base_log_odds", "log_step", "spread")
LARGEST_SPREAD = 2.0
RUNS_FOR_SPREAD = 16
"""Below it the spread over seeds has no interval: were every step known, .895 at 5 runs and .919 at 8."""
CLUSTERED = 0.01
"""Overdispersion that a reader should know of."""
MOVED = 3.0
"""Standard errors between first and highest mean Pass@1 below which a curve counts as not moving."""
SHORT = {"rollouts": "its own rollouts", "ladder": "the exact law", "mean-field": "the mean field"}


@dataclass(frozen=True)
class QueryFit:
    """Fitted parameters of one query under one condition.

    Attributes:
        condition: Name in the study.
        query: The training query's item.
        optimizer: "sgd" or "adam" (adamw without decay is it).
        learning_rate: Of the design.
        seeds: Runs that were fitted.
        source: What the likelihood conditions on: a run's own rollouts, an exact law, or a mean field.
        fit: base_log_odds, log_step (median over seeds), spread (standard deviation of log-steps over seeds).
        intervals: Profile-likelihood intervals by parameter.
        overdispersion: Intra-class correlation of an evaluation's answers around the run's own path.
        own_log_steps: (R,) posterior mean log-step of each run.
        displacement: (R,) fitted change of each run's log-odds from base to end.
        expected_RE: (R, E) fitted Pass@1 at each evaluation.
        warnings: What limits the fit, a sentence each.
    """

    condition: str
    query: int
    optimizer: str
    learning_rate: float
    seeds: tuple[int, ...]
    source: Source
    fit: Fit
    intervals: dict[str, Interval]
    overdispersion: float
    own_log_steps: Floats = field(repr=False)
    displacement: Floats = field(repr=False)
    expected_RE: Floats = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def base(self) -> float:
        """Base Pass@1."""
        return 1.0 / (1.0 + math.exp(-self.fit["base_log_odds"]))

    @property
    def step(self) -> float:
        """Log-odds per unit of learning signal, median over seeds."""
        return math.exp(self.fit["log_step"])

    @property
    def gain(self) -> float:
        """Step per unit of learning rate."""
        return self.step / self.learning_rate

    @property
    def step_interval(self) -> tuple[float | None, float | None]:
        """Limits of the step; None where there is none."""
        found = self.intervals["log_step"]
        low = None if found.low is None else math.exp(found.low)
        return low, None if found.high is None else math.exp(found.high)

    @property
    def identified(self) -> bool:
        """Whether the step has limits on both sides and a curvature to draw from."""
        return self.intervals["log_step"].identified and math.isfinite(self.fit.standard_error("log_step"))


def fit_query(
    world: WorldSettings,
    counts: Counts,
    condition: str,
    base: float,
    level: float = 0.95,
    geometry: Geometry = "shared",
) -> QueryFit:
    """Fit one query's runs by maximum likelihood.

    Args:
        world: The runs' world.
        counts: The runs.
        condition: Its name.
        base: Measured base Pass@1, for step sizes that are matched there.
        level: Nominal coverage of the intervals.
        geometry: How a language model moves.
    """
    model = Model.of(world, counts, base, geometry)
    known = surface(model)
    fit, intervals = _maximum(known, counts, level)
    own_R = known.own_steps(*fit.estimate)
    path_RE = model.paths(fit["base_log_odds"], own_R)
    return QueryFit(
        condition=condition,
        query=counts.query,
        optimizer="sgd" if counts.design.optimizer == "sgd" else "adam",
        learning_rate=counts.design.learning_rate,
        seeds=tuple(int(s) for s in counts.seed),
        source=model.source,
        fit=fit,
        intervals=intervals,
        overdispersion=known.rho,
        own_log_steps=own_R,
        displacement=path_RE[:, -1] - fit["base_log_odds"],
        expected_RE=1.0 / (1.0 + np.exp(-path_RE)),
        warnings=_warnings(counts, fit, intervals, known, model.source),
    )


def _maximum(known: Surface, counts: Counts, level: float) -> tuple[Fit, dict[str, Interval]]:
    """The fit; with one run the spread over seeds is held at none."""
    start, _ = measured_base(counts)
    grid = known.log_step_J
    bounds = [
        (float(known.base_I[0]), float(known.base_I[-1])),
        (float(grid[0]), float(grid[-1])),
        (COARSEST, LARGEST_SPREAD),
    ]
    single = counts.n == 1

    def loss(x: Floats) -> float:
        return known.loss(float(x[0]), float(x[1]), COARSEST if single else float(x[2]))

    centre = known.at(start).sum(axis=0).argmax()
    first = [start, float(grid[centre]), 0.15]
    size = 2 if single else 3
    fit = maximise(loss, [first[:size]], NAMES[:size], n=counts.n, bounds=bounds[:size])
    df = counts.n - 1 if counts.n > 1 else None
    intervals = {
        "base_log_odds": profile_interval(loss, fit, "base_log_odds", level),
        "log_step": profile_interval(loss, fit, "log_step", level, df=df),
    }
    if counts.n >= RUNS_FOR_SPREAD:
        intervals["spread"] = profile_interval(loss, fit, "spread", level)
    for name, edges in zip(NAMES, bounds, strict=False):
        if name in intervals and name != "spread":
            intervals[name] = _within(intervals[name], (edges[0], edges[1]))
    if single:
        fit = Fit(
            NAMES,
            np.append(fit.estimate, COARSEST),
            fit.log_likelihood,
            np.pad(fit.covariance, (0, 1), constant_values=np.nan),
            fit.converged,
            fit.n,
            (*(fit.bounds or ()), (COARSEST, LARGEST_SPREAD)),
        )
    return fit, intervals


def _within(found: Interval, searched: tuple[float, float]) -> Interval:
    """An interval without limits where it only ends because the search does."""
    low = None if found.low is None or found.low <= searched[0] + 1e-9 else found.low
    high = None if found.high is None or found.high >= searched[1] - 1e-9 else found.high
    return Interval(low, high, (low is not None, high is not None), found.level)


def _warnings(
    counts: Counts, fit: Fit, intervals: dict[str, Interval], known: Surface, source: Source
) -> tuple[str, ...]:
    found = []
    step = intervals["log_step"]
    if not _moves(counts):
        found.append(
            "the curve never moves by more than its noise: base log-odds and step cannot be told apart from "
            "a policy that does not learn, and the step has at best an upper limit"
        )
    for side, bounded in zip(("lower", "upper"), step.bounded, strict=True):
        if not bounded:
            found.append(f"the step has no {side} limit: its profile likelihood is flat on that side")
    if fit.at_bound("base_log_odds"):
        found.append(
            "the base log-odds lie at the edge of what the base's own evaluations allow: the curve starts "
            "elsewhere than the base was measured"
        )
    if fit.n > 1 and fit["spread"] >= LARGEST_SPREAD - 1e-3:
        found.append("the spread over seeds is at its upper bound: seeds have no common step")
    if fit.n == 1:
        found.append("one run: nothing says how far seeds differ, and the interval is of this run alone")
    if known.rho > CLUSTERED:
        found.append(
            f"answers of one evaluation are correlated by {known.rho:.3f} around the fitted path, so the "
            "path misses something that all samples share"
        )
    if source == "mean-field":
        found.append(
            "groups were not kept, so the mean field stands for every run: under Adam it takes the wait for "
            "the first success for a smaller step (theory 4)"
        )
    if not fit.converged:
        found.append("the search for the maximum did not end at one")
    return tuple(found)


def _moves(counts: Counts) -> bool:
    """Whether the mean curve leaves its start by more than its noise."""
    k_E, n_E = counts.counts_RE2.sum(axis=0).T
    p_E = k_E / n_E
    error_E = np.sqrt((p_E * (1 - p_E) + 0.25 / n_E) / n_E)
    return bool(np.any(np.abs(p_E - p_E[0]) > MOVED * np.hypot(error_E, error_E[0])))
