"""The bandit against plain curve models: who forecasts the second half of a training from the first?

All models see the evaluations up to a round and forecast the mean Pass@1 of the later ones. Curve models are
fitted to the counts of all runs together; the bandit is fitted run by run, continues every run from where its
own rollouts have brought it, and averages. The loss is that of every later answer, in nats; the floor is the
loss of a forecast that knows the later evaluations' own rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit import MOST_RUNS
from analysis.fits.bandit_data import Counts, check_covered, check_world, counts_of_runs
from analysis.fits.bandit_prediction import draw_runs, parameters_of, sets_for
from analysis.fits.bandit_query import QueryFit, fit_query
from analysis.fits.curve_fit import Curve, fit_curve, held_out
from analysis.fits.curves import CURVES, EDGE
from analysis.loading.records import Cell, Records
from banditrft.errors import InputError

Floats = NDArray[np.float64]
BANDIT = "bandit (this run's own rollouts)"
FLOOR = "the later evaluations' own rates"


@dataclass(frozen=True)
class Rival:
    """One model's forecast.

    Attributes:
        model: Its name.
        parameters: Fitted numbers; of the bandit three a query.
        log_loss: Mean loss of a later answer, nats.
        above_floor: What of it a perfect forecast would have saved.
        note: Why there is no forecast, else empty.
    """

    model: str
    parameters: int
    log_loss: float | None
    above_floor: float | None
    note: str


def rivals(
    records: Records, world: str, condition: str, share: float = 0.5, seed: int = 0
) -> tuple[Rival, ...]:
    """Forecasts of a condition's later evaluations, best first.

    Args:
        records: A study's records.
        world: Name of the world.
        condition: Name of the condition.
        share: Part of the rounds that is fitted, in (0, 1).
        seed: Of the bandit's draws.

    Raises:
        InputError: The share is no part, the condition lies outside the closed forms, its step is not
            identified by the first part, or a name is unknown.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share: must lie strictly between 0 and 1, got {share!r}")
    if world not in records.worlds or condition not in records.of(world):
        raise InputError(
            f"condition: {world!r} must be a world of the study and {condition!r} one of its own"
        )
    cell = records.of(world)[condition]
    check_world(cell.world)
    check_covered(cell.design)
    counts = [counts_of_runs(records, cell, int(q), MOST_RUNS) for q in np.unique(cell.query)]
    during = [replace(c, rounds_E=c.rounds_E[:-1], counts_RE2=c.counts_RE2[:, :-1]) for c in counts]
    cut = int(share * cell.design.rounds)
    later_E = during[0].rounds_E > cut
    pooled = _pooled(during)
    early, late = pooled.where(pooled.rounds_N <= cut), pooled.where(pooled.rounds_N > cut)
    if not early.answers or not late.answers:
        raise InputError(f"share: leaves no evaluations on one side, got {share!r}")
    rate = dict(zip(late.rounds_N.tolist(), (late.correct_N / late.n_N).tolist(), strict=True))
    floor, _ = held_out(lambda t: np.array([rate[float(x)] for x in t]), late)
    curve_E = _bandit(cell, during, cut, np.random.default_rng(seed))
    forecast = dict(zip(during[0].rounds_E[later_E].tolist(), curve_E[later_E].tolist(), strict=True))
    loss, _ = held_out(lambda t: np.array([forecast[int(x)] for x in t]), late)
    found = [Rival(BANDIT, 3 * len(during), loss, loss - floor, "")]
    for model in CURVES.values():
        try:
            fit = fit_curve(model, early, profile=False)
        except InputError as error:
            found.append(Rival(model.name, len(model.parameters), None, None, str(error)))
            continue
        loss, _ = held_out(fit.predict, late)
        found.append(Rival(model.name, len(fit.fit.names), loss, loss - floor, ""))
    found.append(Rival(FLOOR, int(later_E.sum()), floor, 0.0, ""))
    return tuple(sorted(found, key=lambda r: np.inf if r.log_loss is None else r.log_loss))


def _pooled(counts: Sequence[Counts]) -> Curve:
    """Counts of all runs together, one cell a round."""
    total_E2 = sum((c.counts_RE2.sum(axis=0) for c in counts), np.zeros(2)).astype(np.int64)
    return Curve("all runs", counts[0].rounds_E.astype(np.float64), total_E2[:, 1], total_E2[:, 0])


def _bandit(cell: Cell, counts: Sequence[Counts], cut: int, rng: np.random.Generator) -> Floats:
    """Forecast mean Pass@1 at every evaluation of a condition, (E,)."""
    total, runs = np.zeros(counts[0].rounds_E.size), 0
    for own in counts:
        early = _until(own, cut)
        fit = fit_query(cell.world, early, cell.condition, cell.base[own.query])
        if not fit.identified:
            raise InputError(
                f"{cell.condition}: the step of query {own.query} is not identified by round {cut}"
            )
        total += _continued(cell, own, early, fit, rng) * own.n
        runs += own.n
    return np.clip(total / runs, EDGE, 1.0 - EDGE)


def _until(counts: Counts, cut: int) -> Counts:
    """What is known after so many rounds."""
    seen_E = counts.rounds_E <= cut
    groups, rollouts = counts.groups_RTB, counts.rollouts_RT2
    return replace(
        counts,
        design=counts.design.model_copy(update={"rounds": cut}),
        rounds_E=counts.rounds_E[seen_E],
        counts_RE2=counts.counts_RE2[:, seen_E],
        groups_RTB=None if groups is None else groups[:, :cut],
        rollouts_RT2=None if rollouts is None else rollouts[:, :cut],
    )


def _continued(cell: Cell, own: Counts, early: Counts, fit: QueryFit, rng: np.random.Generator) -> Floats:
    """Mean Pass@1 of one query's runs, each continued from its own rollouts and with its own step."""
    sets = sets_for(own.n)
    drawn = parameters_of(fit, sets, rng)
    shift_DR = (drawn.log_gain_D - np.log(fit.gain))[:, None] + fit.own_log_steps
    base_DR = np.repeat(drawn.base_D[:, None], own.n, axis=1)
    known = None if early.groups_RTB is None else np.tile(early.groups_RTB, (sets, 1, 1))
    runs = draw_runs(
        cell.world,
        cell.design,
        cell.evaluation,
        base_DR.ravel(),
        np.exp(shift_DR).ravel(),
        rng,
        known_NTB=known,
    )
    return np.asarray(runs.train_NE.mean(axis=0))
