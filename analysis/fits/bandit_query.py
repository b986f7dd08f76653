"""The bandit of one query under one condition, and what the queries of a condition have in common.

Of one query: base log-odds, effective step, spread of the step over seeds. The effective step is how far one
unit of learning signal moves the log-odds: learning rate x gain, the gain being |u|^2 under SGD and sum |u_i|
under Adam for features u (theory §2, §4, §6), which no setting of a language model gives away. Every seed has
a step of its own, log-normal around a median; the seed is the unit of replication, so the interval of the
median step uses Student's cutoff with seeds - 1 degrees of freedom.

Of several queries: the gain of a typical one, and what reaches the test set. Both are small normal models
fitted by maximum likelihood with profile intervals on Student's cutoff: of Q queries' log-gains with their
own errors, and of R runs' test displacements against their train displacements.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Counts, Geometry
from analysis.fits.bandit_likelihood import COARSEST, Model, Source, Surface, measured_base, surface
from analysis.fits.likelihood import Fit, Interval, Profile, maximise, profile_interval
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
    single, loss = counts.n == 1, _loss(known, counts)
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


def _loss(known: Surface, counts: Counts) -> Callable[[Floats], float]:
    """Negative log-likelihood of base log-odds, log-step and spread; one run has no spread to fit."""
    single = counts.n == 1
    return lambda x: known.loss(float(x[0]), float(x[1]), COARSEST if single else float(x[2]))


def step_profile(known: Surface, counts: Counts, fit: QueryFit) -> Profile:
    """Profile of a query's log-step.

    Args:
        known: Log-likelihood of its runs.
        counts: The runs.
        fit: Their fit.
    """
    return Profile(_loss(known, counts), fit.fit, "log_step")


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


LEAST = 1e-6
"""Smallest spread that differs from none."""


@dataclass(frozen=True)
class GainOfQueries:
    """Gain, log-odds per unit of learning signal and learning rate, over the queries of a condition.

    Attributes:
        median: Of a typical query.
        low: Lower limit; None where one query is all there is.
        high: Upper limit; likewise.
        between: Standard deviation of log-gains between queries; None with one query.
        error: Standard error of the log of `median`.
        queries: Number of queries.
    """

    median: float
    low: float | None
    high: float | None
    between: float | None
    error: float
    queries: int


@dataclass(frozen=True)
class TransferToTest:
    """Displacement of the test set's log-odds per unit of the training query's (theory §6).

    Attributes:
        slope: Transfer.
        low: Lower limit.
        high: Upper limit.
        error: Standard error.
        residual: Standard deviation of test log-odds around the line, between runs.
        runs: Number of runs.
    """

    slope: float
    low: float | None
    high: float | None
    error: float
    residual: float
    runs: int


def gain_of_queries(fits: Sequence[QueryFit], level: float = 0.95) -> GainOfQueries:
    """Random-effects estimate over queries whose steps are identified, at least one.

    Args:
        fits: One fit per query.
        level: Nominal coverage.
    """
    log_Q = np.array([math.log(f.gain) for f in fits])
    error_Q = np.array([step_error(f) for f in fits])
    if len(fits) == 1:
        low, high = (None if x is None else x / fits[0].learning_rate for x in fits[0].step_interval)
        return GainOfQueries(fits[0].gain, low, high, None, float(error_Q[0]), 1)

    def loss(x: Floats) -> float:
        variance_Q = error_Q**2 + x[1] ** 2
        return float((np.log(variance_Q) + (log_Q - x[0]) ** 2 / variance_Q).sum()) / 2.0

    start = [float(log_Q.mean()), float(log_Q.std()) + 0.01]
    bounds = [(-np.inf, np.inf), (LEAST, np.inf)]
    fit = maximise(loss, [start], ("mean", "between"), n=len(fits), bounds=bounds)
    found = profile_interval(loss, fit, "mean", level, df=len(fits) - 1)
    error = math.sqrt(1.0 / float((1.0 / (error_Q**2 + fit["between"] ** 2)).sum()))
    low, high = (None if x is None else math.exp(x) for x in (found.low, found.high))
    return GainOfQueries(math.exp(fit["mean"]), low, high, fit["between"], error, len(fits))


def step_error(fit: QueryFit) -> float:
    """Standard error of a log-step, that of the profile interval where the curvature's is smaller."""
    from scipy.stats import norm, t

    found = fit.intervals["log_step"]
    if found.low is None or found.high is None:
        return math.inf
    free = len(fit.seeds) - 1
    quantile = t.ppf(0.5 + found.level / 2, free) if free else norm.ppf(0.5 + found.level / 2)
    return (found.high - found.low) / (2.0 * float(quantile))


def transfer_to_test(
    fits: Sequence[QueryFit], counts: Sequence[Counts], level: float = 0.95
) -> TransferToTest | None:
    """Slope through the origin of test against train displacement, in log-odds, over runs.

    Args:
        fits: One fit per query.
        counts: Their counts.
        level: Nominal coverage.

    Returns:
        None without a test set, with one run, or where no run moved.
    """
    tested_N22 = np.concatenate([c.test_R22 for c in counts])
    train_N = np.concatenate([f.displacement for f in fits])
    if (tested_N22[:, :, 1] == 0).any() or train_N.size < 2 or not np.abs(train_N).max() > LEAST:
        return None
    logit_N2 = test_log_odds(tested_N22)
    moved_N = logit_N2[:, 1] - logit_N2[:, 0]

    def loss(x: Floats) -> float:
        return float(((moved_N - x[0] * train_N) ** 2).sum() * math.exp(-2 * x[1]) / 2 + moved_N.size * x[1])

    slope = float(moved_N @ train_N / (train_N @ train_N))
    residual = max(float(np.std(moved_N - slope * train_N)), LEAST)
    fit = maximise(loss, [[slope, math.log(residual)]], ("slope", "log residual"), n=moved_N.size)
    found = profile_interval(loss, fit, "slope", level, df=moved_N.size - 1)
    spread = math.exp(fit["log residual"]) * math.sqrt(moved_N.size / (moved_N.size - 1))
    error = spread / math.sqrt(float(train_N @ train_N))
    return TransferToTest(fit["slope"], found.low, found.high, error, spread, moved_N.size)


def test_log_odds(tested_N22: Floats) -> Floats:
    """Log-odds of test Pass@1 of the base and at the end, (N, 2), half an answer added to each side."""
    k_N2, n_N2 = tested_N22[:, :, 0], tested_N22[:, :, 1]
    return np.asarray(np.log((k_N2 + 0.5) / (n_N2 - k_N2 + 0.5)))
