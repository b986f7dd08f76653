"""Fit here, predict there: does the bandit, fitted to one condition, predict conditions it has not seen?

Of each optimiser the *minimal* condition (one query a round, fewest rollouts, the raw {0,1} reward) is
fitted. Every other condition is then predicted with nothing of its own but its design, its evaluation plan
and its base evaluations: the fitted base log-odds and gain of each query, the signal and the number of
rollouts from the design, the step in proportion to the learning rate. Queries that were not fitted (another
world of the same model) get their own measured base and the gain of a typical query with its spread between
queries. Between optimisers the ratio of gains is a property of the model, sum |u_i| against |u|^2: known from
the settings of a simulated world, unknown for a language model, whose other optimiser is not predicted.

A prediction's interval holds 95% of sets of drawn runs and so carries the fit's error and the sampling
error of the new condition's own seeds and evaluations. Seeds share their luck between conditions, which the
interval does not use, so it is rather too wide than too narrow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit import BanditFit, ConditionFit, fit_records
from analysis.fits.bandit_data import Geometry, check_covered, check_world, known_gain
from analysis.fits.bandit_likelihood import COARSEST
from analysis.fits.bandit_prediction import Parameters, observed, parameters_of, predict_cell, sets_for
from analysis.fits.bandit_query import TransferToTest
from analysis.inference.resampling import of_data
from analysis.loading.records import Cell, Records
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld, WorldSettings

NAMES: dict[str, str] = {
    "area": "mean train Pass@1 over the rounds",
    "final": "final train Pass@1",
    "rounds": "mean rounds to train Pass@1 of .9",
    "seed_sd": "standard deviation of these rounds over seeds",
    "test": "final test Pass@1",
}
"""Quantities that are predicted."""
COMPARED = ("area", "final", "rounds")
"""Those that are held against the fitted condition's own value."""


@dataclass(frozen=True)
class PredictedQuantity:
    """One quantity of one condition, predicted and observed.

    Attributes:
        world: The condition's world.
        condition: Name in the study.
        fitted: Condition that the prediction comes from.
        quantity: "area", "final", "rounds", "seed_sd" or "test".
        predicted: Median of the drawn sets.
        low: 2.5% quantile.
        high: 97.5% quantile.
        observed: Of the condition's runs.
        unchanged: The same quantity of the fitted condition: what "the design changes nothing" predicts;
            None where the queries are others.
        z: (observed - mean)/standard deviation of the drawn sets; None where they do not differ.
        inside: Whether the observed value lies in the interval.
        n: Runs of the condition.
        sentence: In words.
    """

    world: str
    condition: str
    fitted: str
    quantity: str
    predicted: float
    low: float
    high: float
    observed: float
    unchanged: float | None
    z: float | None
    inside: bool
    n: int
    sentence: str


@dataclass(frozen=True)
class PredictedCurve:
    """Mean train curve of a condition, predicted and observed.

    Attributes:
        world: The condition's world.
        condition: Name in the study.
        rounds: Of the evaluations.
        predicted: Mean of the drawn sets.
        low: Lower edge of the simultaneous 95% band.
        high: Upper edge.
        observed: Mean of the runs.
        inside: Whether the whole observed curve lies in the band.
    """

    world: str
    condition: str
    rounds: tuple[float, ...]
    predicted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    observed: tuple[float, ...]
    inside: bool


@dataclass(frozen=True)
class UnseenConditions:
    """Predictions of a world's conditions from its minimal one, held out of the fit.

    Attributes:
        world: Name of the fitted world.
        fitted: Conditions that were fitted, one per optimiser at most.
        rows: Predicted and observed quantities.
        curves: Predicted and observed mean curves.
        left_out: Conditions that were not predicted, with the reason.
        covered: Share of rows whose observed value lies in its interval; None without rows.
        closer: Share of rows (area, final, rounds) in which the prediction lies closer to the observed value
            than the fitted condition's own value does; None without such rows.
        sentence: In words.
        geometry: How a language model was taken to move, "shared" or "arms"; None in a simulated world.
    """

    world: str
    fitted: tuple[str, ...]
    rows: tuple[PredictedQuantity, ...]
    curves: tuple[PredictedCurve, ...]
    left_out: dict[str, str]
    covered: float | None
    closer: float | None
    sentence: str
    geometry: str | None = None


def summary(
    starts: dict[str, str],
    rows: Sequence[PredictedQuantity],
    curves: Sequence[PredictedCurve],
    closer: float | None,
) -> str:
    """What the rows and curves say together.

    Args:
        starts: Optimiser -> condition that was fitted.
        rows: Predicted and observed quantities.
        curves: Predicted and observed mean curves.
        closer: Share of train quantities closer to the prediction than to the fitted condition's value.
    """
    if not rows:
        return "No other condition lies inside the closed forms, so nothing was predicted."
    inside, whole = sum(bool(r.inside) for r in rows), sum(c.inside for c in curves)
    text = (
        f"Fitted to {' and '.join(starts.values())}, the bandit predicted {len(curves)} other conditions: "
        f"{inside} of {len(rows)} observed quantities lie in their 95% intervals and {whole} of "
        f"{len(curves)} mean curves in their simultaneous bands"
    )
    if closer is None:
        return f"{text}."
    return (
        f"{text}; in {closer:.0%} of the train means, final values and rounds it was closer than the "
        "fitted condition's value."
    )


def share_covered(rows: Sequence[PredictedQuantity]) -> float | None:
    """Share of rows whose observed value lies in its interval; None without rows."""
    return sum(row.inside for row in rows) / len(rows) if rows else None


def share_closer(rows: Sequence[PredictedQuantity]) -> float | None:
    """Share of train quantities that the prediction is closer to than the fitted condition's value is."""
    found = [
        abs(row.observed - row.predicted) < abs(row.observed - row.unchanged)
        for row in rows
        if row.unchanged is not None and row.quantity in COMPARED
    ]
    return sum(found) / len(found) if found else None


def minimal(cells: dict[str, Cell]) -> dict[str, str]:
    """Optimiser ("adam", "sgd") -> its minimal condition: raw {0,1} rewards, fewest rollouts a round.

    The first of the study among equals; optimisers without such a condition are left out.
    """
    found: dict[str, str] = {}
    for name, cell in cells.items():
        design = cell.design
        if (design.signal, design.reward) != ("raw", "zero-one"):
            continue
        try:
            check_covered(design)
        except InputError:
            continue
        family = "sgd" if design.optimizer == "sgd" else "adam"
        if family not in found or _rollouts(design) < _rollouts(cells[found[family]].design):
            found[family] = name
    return found


def ratio_of_gains(world: WorldSettings, fitted: Design, wanted: Design) -> float:
    """Gain of one optimiser over that of another, from the settings of a simulated world.

    Raises:
        InputError: The world is a language model, of which no setting says it.
    """
    one, other = known_gain(world, wanted), known_gain(world, fitted)
    if one is None or other is None:
        raise InputError(
            f"optimizer: {wanted.optimizer}'s log-odds per unit of step are another number than "
            f"{fitted.optimizer}'s (|u|^2 against sum |u_i|, theory 4 and 6), and no setting of world "
            f"'{world.name}' gives it"
        )
    return one / other


def unseen_worlds(records: Records, world: str) -> list[Cell]:
    """Minimal conditions of the study's other worlds of the same kind and model: other queries."""
    here = records.worlds[world]
    found: list[Cell] = []
    for name, other in records.worlds.items():
        if name == world or type(other) is not type(here) or not _same_model(here, other):
            continue
        try:
            check_world(other)
        except InputError:
            continue
        cells = records.of(name)
        found += [cells[condition] for condition in minimal(cells).values()]
    return found


def _same_model(here: WorldSettings, other: WorldSettings) -> bool:
    if isinstance(here, LLMWorld) and isinstance(other, LLMWorld):
        return (here.model, here.task, here.lora) == (other.model, other.task, other.lora)
    return True


def _rollouts(design: Design) -> int:
    return design.batch_size * design.rollouts


Floats = NDArray[np.float64]
LEVEL = 0.95


def predict_unseen(
    records: Records,
    world: str,
    seed: int = 0,
    geometry: Geometry = "shared",
    known: BanditFit | None = None,
) -> UnseenConditions:
    """Fit a world's minimal condition of each optimiser and predict all others.

    Args:
        records: A study's records.
        world: Name of the world to fit.
        seed: Of the draws.
        geometry: How a language model moves; simulated worlds have their own.
        known: Fits of the world under this geometry, if they have been made; of other conditions nothing is
            read.

    Raises:
        InputError: The world is not there, trains on a pool, or has no minimal condition.
    """
    if world not in records.worlds:
        raise InputError(f"world: must be one of {', '.join(records.worlds)}, got {world!r}")
    check_world(records.worlds[world])
    cells = records.of(world)
    starts = minimal(cells)
    if not starts:
        raise InputError(
            f"world '{world}': a prediction of unseen conditions needs one of raw {{0,1}} rewards without "
            f"baseline, penalty or clipping to fit, got {', '.join(cells)}"
        )
    first = starts.get("adam", starts.get("sgd", ""))
    if known is None:
        known = fit_records(records, world, list(starts.values()), geometry=geometry)
    fits = {family: known[name] for family, name in starts.items()}
    rows: list[PredictedQuantity] = []
    curves: list[PredictedCurve] = []
    left_out: dict[str, str] = {}
    for target in [*cells.values(), *unseen_worlds(records, world)]:
        name = target.condition if target.world.name == world else f"{target.world.name}: {target.condition}"
        if target is cells[first]:
            continue
        try:
            made = _predict(cells, fits, starts, target, seed, geometry)
        except InputError as error:
            left_out[name] = str(error)
            continue
        rows += made[0]
        curves.append(made[1])
    closer = share_closer(rows)
    return UnseenConditions(
        world=world,
        fitted=tuple(starts.values()),
        rows=tuple(rows),
        curves=tuple(curves),
        left_out=left_out,
        covered=share_covered(rows),
        closer=closer,
        sentence=summary(starts, rows, curves, closer),
        geometry=geometry if isinstance(records.worlds[world], LLMWorld) else None,
    )


def _predict(
    cells: dict[str, Cell],
    fits: dict[str, ConditionFit],
    starts: dict[str, str],
    target: Cell,
    seed: int,
    geometry: Geometry,
) -> tuple[list[PredictedQuantity], PredictedCurve]:
    """Rows and curve of one condition.

    Raises:
        InputError: The condition lies outside the closed forms, or the fit does not say what it needs.
    """
    check_covered(target.design)
    family = "sgd" if target.design.optimizer == "sgd" else "adam"
    source, ratio = family, 1.0
    own_start = target.world.name == next(iter(cells.values())).world.name
    if family not in fits or (own_start and target.condition == starts[family]):
        source = "sgd" if family == "adam" else "adam"
        ratio = ratio_of_gains(target.world, cells[starts[source]].design, target.design)
    fit, start = fits[source], cells[starts[source]]
    rng = of_data(seed, target.rounds, target.start, target.query)
    drawn = _parameters(fit, start, target, ratio, rng)
    found = predict_cell(target, drawn, rng, geometry)
    values, seen = dict(found.values), observed(target)
    if target.has_test and fit.transfer is not None:
        values["test"] = _test(fit.transfer, target, found.displacement_DN, rng)
        seen["test"] = float(target.test.mean())
    unchanged = observed(start) if own_start else {}
    if own_start and start.has_test:
        unchanged["test"] = float(start.test.mean())
    rows = [
        _row(target, start.condition, name, values[name], seen[name], unchanged.get(name)) for name in values
    ]
    return rows, _curve(target, found.curve_DE)


def _parameters(
    fit: ConditionFit, start: Cell, target: Cell, ratio: float, rng: np.random.Generator
) -> list[Parameters]:
    """Draws of the target's queries: the fitted ones, or a typical query at another base."""
    sets = sets_for(target.n)
    known = {q.query: q for q in fit.queries}
    same = target.world.name == start.world.name
    flat = [str(q.query) for q in fit.queries if not q.identified]
    if flat or fit.gain is None:
        raise InputError(f"{fit.condition}: the step of query {', '.join(flat)} is not identified")
    out = []
    shared_D = rng.standard_normal(sets)
    for query in sorted({int(q) for q in target.query}):
        if same and query in known:
            own = parameters_of(known[query], sets, rng)
        else:
            base = target.start[target.query == query].mean()
            samples = target.train_samples[target.query == query, 0].sum()
            error = 1.0 / math.sqrt(max(float(samples) * base * (1.0 - base), 0.5))
            between = fit.gain.between or 0.0
            log_gain_D = math.log(fit.gain.median) + fit.gain.error * shared_D
            spread = float(np.mean([q.fit["spread"] for q in fit.queries]))
            own = Parameters(
                query=query,
                base_D=math.log(base / (1.0 - base)) + error * rng.standard_normal(sets),
                log_gain_D=log_gain_D + between * rng.standard_normal(sets),
                spread_D=np.full(sets, max(spread, COARSEST)),
                overdispersion=float(np.mean([q.overdispersion for q in fit.queries])),
            )
        out.append(
            Parameters(
                own.query, own.base_D, own.log_gain_D + math.log(ratio), own.spread_D, own.overdispersion
            )
        )
    return out


def _test(transfer: TransferToTest, target: Cell, moved_DN: Floats, rng: np.random.Generator) -> Floats:
    """Mean final test Pass@1 of each drawn set: the base's own, moved along the fitted line."""
    slope_D1 = transfer.slope + transfer.error * rng.standard_normal((len(moved_DN), 1))
    noise_DN = transfer.residual * rng.standard_normal(moved_DN.shape)
    base_N = np.clip(target.test_base, 1e-4, 1.0 - 1e-4)
    log_odds_DN = np.log(base_N / (1.0 - base_N)) + slope_D1 * moved_DN + noise_DN
    return np.asarray((1.0 / (1.0 + np.exp(-log_odds_DN))).mean(axis=1))


def _row(
    target: Cell, fitted: str, name: str, values_D: Floats, seen: float, unchanged: float | None
) -> PredictedQuantity:
    low, middle, high = (float(x) for x in np.quantile(values_D, [0.025, 0.5, 0.975]))
    sd = float(values_D.std())
    z = (seen - float(values_D.mean())) / sd if sd > 0 else None
    inside = low <= seen <= high
    sentence = (
        f"{target.condition}: {NAMES[name]} predicted {middle:.3g} ({low:.3g} to {high:.3g}) from {fitted}, "
        f"observed {seen:.3g} over {target.n} runs, {'inside' if inside else 'outside'} the interval."
    )
    return PredictedQuantity(
        target.world.name,
        target.condition,
        fitted,
        name,
        middle,
        low,
        high,
        seen,
        unchanged,
        z,
        inside,
        target.n,
        sentence,
    )


def _curve(target: Cell, curve_DE: Floats) -> PredictedCurve:
    """Simultaneous band from the largest standardised deviation of the drawn sets' mean curves."""
    mean_E, sd_E = curve_DE.mean(axis=0), np.maximum(curve_DE.std(axis=0), 1e-4)
    width = float(np.quantile(np.abs((curve_DE - mean_E) / sd_E).max(axis=1), LEVEL))
    seen_E = target.train.mean(axis=0)
    low_E, high_E = np.clip([mean_E - width * sd_E, mean_E + width * sd_E], 0.0, 1.0)
    inside = bool(np.all((seen_E >= low_E - 1e-12) & (seen_E <= high_E + 1e-12)))
    return PredictedCurve(
        target.world.name,
        target.condition,
        rounds=tuple(target.rounds.tolist()),
        predicted=tuple(mean_E.tolist()),
        low=tuple(low_E.tolist()),
        high=tuple(high_E.tolist()),
        observed=tuple(seen_E.tolist()),
        inside=inside,
    )
