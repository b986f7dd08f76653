"""Fit here, predict there: does the bandit, fitted to one condition, foretell conditions it has not seen?

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

import numpy as np
from numpy.typing import NDArray

from analysis.fits.bandit import BanditFit, ConditionFit, fit_records
from analysis.fits.bandit_data import Geometry, check_covered, check_world
from analysis.fits.bandit_population import TransferToTest
from analysis.fits.bandit_prediction import Parameters, observed, parameters_of, predict_cell, sets_for
from analysis.fits.bandit_surface import COARSEST
from analysis.fits.bandit_targets import minimal, ratio_of_gains, unseen_worlds
from analysis.fits.transfer_result import (
    NAMES,
    CurveForecast,
    TransferRow,
    TransferTest,
    share_closer,
    share_covered,
    summary,
)
from analysis.inference.keyed import of_data
from analysis.loading.records import Cell, Records
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld

Floats = NDArray[np.float64]
LEVEL = 0.95


def transfer_test(
    records: Records,
    world: str,
    seed: int = 0,
    geometry: Geometry = "shared",
    known: BanditFit | None = None,
) -> TransferTest:
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
            f"world '{world}': a transfer test needs a condition of raw {{0,1}} rewards without baseline, "
            f"penalty or clipping to fit, got {', '.join(cells)}"
        )
    first = starts.get("adam", starts.get("sgd", ""))
    if known is None:
        known = fit_records(records, world, list(starts.values()), geometry=geometry)
    fits = {family: known[name] for family, name in starts.items()}
    rows: list[TransferRow] = []
    curves: list[CurveForecast] = []
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
    return TransferTest(
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
) -> tuple[list[TransferRow], CurveForecast]:
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
) -> TransferRow:
    low, middle, high = (float(x) for x in np.quantile(values_D, [0.025, 0.5, 0.975]))
    sd = float(values_D.std())
    z = (seen - float(values_D.mean())) / sd if sd > 0 else None
    inside = low <= seen <= high
    sentence = (
        f"{target.condition}: {NAMES[name]} predicted {middle:.3g} ({low:.3g} to {high:.3g}) from {fitted}, "
        f"observed {seen:.3g} over {target.n} runs, {'inside' if inside else 'outside'} the interval."
    )
    return TransferRow(
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


def _curve(target: Cell, curve_DE: Floats) -> CurveForecast:
    """Simultaneous band from the largest standardised deviation of the drawn sets' mean curves."""
    mean_E, sd_E = curve_DE.mean(axis=0), np.maximum(curve_DE.std(axis=0), 1e-4)
    width = float(np.quantile(np.abs((curve_DE - mean_E) / sd_E).max(axis=1), LEVEL))
    seen_E = target.train.mean(axis=0)
    low_E, high_E = np.clip([mean_E - width * sd_E, mean_E + width * sd_E], 0.0, 1.0)
    inside = bool(np.all((seen_E >= low_E - 1e-12) & (seen_E <= high_E + 1e-12)))
    return CurveForecast(
        target.world.name,
        target.condition,
        rounds=tuple(target.rounds.tolist()),
        predicted=tuple(mean_E.tolist()),
        low=tuple(low_E.tolist()),
        high=tuple(high_E.tolist()),
        observed=tuple(seen_E.tolist()),
        inside=inside,
    )
