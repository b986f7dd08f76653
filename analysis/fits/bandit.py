"""The bandit theory fitted to records: what one unit of learning signal does to a policy, query by query.

Each query of each condition that the theory covers gets a base log-odds and an effective step
(:mod:`analysis.fits.bandit_query`); queries of one condition are drawn together into the gain of a typical
query and its spread between queries; the test set into a displacement per unit of train displacement (theory
§6). If the theory holds, conditions of one optimiser share the gain: their steps differ by learning rate
alone, whatever the signal and the number of rollouts. Residuals and replicated runs say where it does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit_data import Counts, Geometry, check_covered, check_world, counts_of_runs, known_gain
from analysis.fits.bandit_prediction import Check, checks
from analysis.fits.bandit_query import (
    GainOfQueries,
    QueryFit,
    TransferToTest,
    fit_query,
    gain_of_queries,
    transfer_to_test,
)
from analysis.loading.records import Cell, Records
from banditrft.brief import Brief
from banditrft.errors import InputError

Floats = NDArray[np.float64]
MOST_RUNS = 64
"""Runs of a query that a fit reads: more would sharpen limits that are sharp, at the price of time."""


@dataclass(frozen=True)
class Residual:
    """Observed against fitted right answers of all runs of a condition at one evaluation.

    Attributes:
        condition: Name in the study.
        round: Of the evaluation.
        observed: Mean Pass@1.
        fitted: Mean fitted Pass@1.
        z: Difference in standard errors of the evaluation's samples, overdispersion included.
    """

    condition: str
    round: float
    observed: float
    fitted: float
    z: float


@dataclass(frozen=True, repr=False)
class ConditionFit(Brief):
    """A condition's fits.

    Attributes:
        condition: Name in the study.
        queries: One fit per training query.
        gain: Of a typical query; None where no query's step is identified.
        known_gain: What the settings of a simulated world imply; None for a language model.
        transfer: Test log-odds per unit of train log-odds; None without a test set.
        residuals: By evaluation.
        checks: Statistics of replicated runs against the observed; none where they were not asked for.
    """

    condition: str
    queries: tuple[QueryFit, ...]
    gain: GainOfQueries | None
    known_gain: float | None
    transfer: TransferToTest | None
    residuals: tuple[Residual, ...]
    checks: tuple[Check, ...]

    @property
    def misfit(self) -> float:
        """Mean squared residual over evaluations; near 1 where the model holds."""
        return float(np.mean([r.z**2 for r in self.residuals]))


@dataclass(frozen=True, repr=False)
class BanditFit(Brief):
    """The bandit fitted to one world.

    Attributes:
        world: Its name.
        conditions: Fits, in the order of the study.
        left_out: Conditions that were not fitted, with the reason.
        warnings: What limits the fits, a sentence each.
        sentence: What came out, and how.
    """

    world: str
    conditions: tuple[ConditionFit, ...]
    left_out: dict[str, str]
    warnings: tuple[str, ...]
    sentence: str

    def __getitem__(self, condition: str) -> ConditionFit:
        for found in self.conditions:
            if found.condition == condition:
                return found
        known = ", ".join(found.condition for found in self.conditions)
        raise InputError(f"condition: must be one of {known}, got {condition!r}")


def fit_records(
    records: Records,
    world: str,
    conditions: Sequence[str] | None = None,
    level: float = 0.95,
    geometry: Geometry = "shared",
    *,
    replicate: bool = True,
) -> BanditFit:
    """Fit the bandit to the conditions of a world.

    Args:
        records: A study's records.
        world: Name of one of its worlds.
        conditions: Names of conditions; all by default.
        level: Nominal coverage of the intervals.
        geometry: How a language model moves.
        replicate: Whether to check each fit against replicated runs, which takes most of the time.

    Returns:
        The fits; conditions outside the closed forms are left out with the reason.

    Raises:
        InputError: The world is not there, a condition is not, or the world trains on a pool of queries.
    """
    if world not in records.worlds:
        raise InputError(f"world: must be one of {', '.join(records.worlds)}, got {world!r}")
    check_world(records.worlds[world])
    cells = records.of(world)
    for name in conditions or ():
        if name not in cells:
            raise InputError(f"conditions: must be among {', '.join(cells)}, got {name!r}")
    fits, left_out = [], {}
    for name, cell in cells.items():
        if conditions is not None and name not in conditions:
            continue
        try:
            check_covered(cell.design)
        except InputError as error:
            left_out[name] = str(error)
            continue
        fits.append(_fit_cell(records, cell, level, geometry, replicate=replicate))
    return BanditFit(world, tuple(fits), left_out, _warnings(records, world, fits), _sentence(fits, left_out))


def fit(records: Records) -> tuple[BanditFit, ...]:
    """Fit the bandit to every world of a study; a world it does not describe says why in its sentence.

    Args:
        records: A study's records (:func:`analysis.load`).
    """
    found = []
    for world in records.worlds:
        try:
            found.append(fit_records(records, world))
        except InputError as error:
            found.append(BanditFit(world, (), dict.fromkeys(records.of(world), str(error)), (), f"{error}."))
    return tuple(found)


def _fit_cell(
    records: Records, cell: Cell, level: float, geometry: Geometry, *, replicate: bool
) -> ConditionFit:
    queries = [int(q) for q in np.unique(cell.query)]
    counts = [counts_of_runs(records, cell, q, MOST_RUNS) for q in queries]
    fits = tuple(
        fit_query(cell.world, own, cell.condition, cell.base[q], level, geometry)
        for q, own in zip(queries, counts, strict=True)
    )
    usable = [f for f in fits if f.identified]
    return ConditionFit(
        condition=cell.condition,
        queries=fits,
        gain=gain_of_queries(usable, level) if usable else None,
        known_gain=known_gain(cell.world, cell.design),
        transfer=transfer_to_test(fits, counts, level),
        residuals=_residuals(cell, fits, counts),
        checks=checks(cell, fits, geometry) if replicate else (),
    )


def _residuals(cell: Cell, fits: Sequence[QueryFit], counts: Sequence[Counts]) -> tuple[Residual, ...]:
    """One for each evaluation during training; the final one, with other samples, joins the last."""
    p_NE = np.concatenate([f.expected_RE for f in fits])
    k_NE, n_NE = np.moveaxis(np.concatenate([c.counts_RE2 for c in counts]), 2, 0)
    rho_N1 = np.concatenate([np.full(len(f.seeds), f.overdispersion) for f in fits])[:, None]
    variance_NE = n_NE * p_NE * (1.0 - p_NE) * (1.0 + (n_NE - 1.0) * rho_N1)
    found = []
    for round_ in cell.rounds:
        at = counts[0].rounds_E == round_
        k, n, fitted = k_NE[:, at].sum(), n_NE[:, at].sum(), (n_NE * p_NE)[:, at].sum()
        z = (k - fitted) / math.sqrt(max(variance_NE[:, at].sum(), 1e-12))
        found.append(Residual(cell.condition, float(round_), float(k / n), float(fitted / n), float(z)))
    return tuple(found)


def _warnings(records: Records, world: str, fits: Sequence[ConditionFit]) -> tuple[str, ...]:
    found = []
    for fit in fits:
        for query in fit.queries:
            where = f"{fit.condition}, query {query.query}" if len(fit.queries) > 1 else fit.condition
            found += [f"{where}: {warning}" for warning in query.warnings]
        largest = max(np.unique(records.of(world)[fit.condition].query, return_counts=True)[1])
        if largest > MOST_RUNS:
            found.append(f"{fit.condition}: fitted on the first {MOST_RUNS} of {largest} seeds")
    return tuple(found)


def _sentence(fits: Sequence[ConditionFit], left_out: dict[str, str]) -> str:
    known = [f for f in fits if f.gain is not None]
    if not known:
        return "No condition's effective step is identified."
    parts = []
    for family in ("sgd", "adam"):
        own = [f for f in known if f.queries[0].optimizer == family]
        if len(own) > 1:
            values = [f.gain.median for f in own if f.gain is not None]
            parts.append(
                f"under {'SGD' if family == 'sgd' else 'Adam'} the gains of {len(own)} conditions, which the "
                f"theory says are one, span a factor of {max(values) / min(values):.2f}"
            )
    left = f"; outside the closed forms: {', '.join(left_out)}" if left_out else ""
    start = (
        f"The bandit was fitted to {sum(len(f.queries) for f in fits)} sets of runs by maximum likelihood, "
        "with a seed effect on the step and profile-likelihood intervals"
    )
    return f"{'; '.join([start, *parts])}{left}."
