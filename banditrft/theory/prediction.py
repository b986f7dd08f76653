"""What a prediction says, and how its parts are put together. The front is :mod:`banditrft.predict`."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from banditrft.brief import Brief
from banditrft.design import Design, Evaluation
from banditrft.theory import cautions, domain
from banditrft.theory.adam import follow
from banditrft.theory.cases import Case, check_design
from banditrft.theory.estimates import EXACT, LEVELS, SIZES, Estimate, estimate, named, out_of_range
from banditrft.theory.generalisation import sign_overlap
from banditrft.theory.hitting import (
    HittingLaw,
    ladder_curve,
    ladder_quantiles,
    mean_curve,
    pass_at_1_quantiles,
)
from banditrft.theory.moments import ClassMoments
from banditrft.theory.pool import MAX_ROUNDS, PoolField, pool_field
from banditrft.theory.sequence import (
    Positions,
    log_odds_of,
    rounds_with_wait,
    sequence_law,
    sequence_mean_field,
    sequence_round_law,
    sequence_rungs,
)
from banditrft.theory.spread import spread
from banditrft.worlds import ContextualWorld

MAX_CURVE_ROUNDS = 10_000
MAX_BAND_ROUNDS = 2_000
BAND = (0.05, 0.95)

Method = Literal["exact", "mean-field"]


@dataclass(frozen=True, repr=False)
class Prediction(Brief):
    """Closed-form prediction of one design.

    Attributes:
        method: "exact" or "mean-field".
        p0: Base Pass@1.
        target: Pass@1 to reach.
        mean_rounds: Expected rounds to the target: of the exact law, of the chain with its sampling noise, or
            the first whole round of the mean field, to which the wait for the first lesson is added for
            p0 < .02 or a learning rate above .1; None if the target is not reached.
        sd_rounds: Standard deviation over seeds, in rounds; None where unknown.
        quantiles: Rounds by level "0.05", "0.5", "0.95"; None likewise.
        rollouts_mean: mean_rounds x rollouts per round, baseline rollouts and the whole batch included.
        zero_signal_fraction: Probability at p0 that every signal of a group is 0.
        snr: Signal-to-noise at p0, drift^2/variance of one update; None if there is no noise.
        drift: Mean multiplier at p0 (raw {0,1}: p0 (1-p0)).
        curve: "round" and expected "pass_at_1" (and, in the contextual world, "test_pass_at_1"): every round
            up to 10,000, or an evaluation's rounds; where the spread is known also "low" and "high", the
            5% and 95% quantiles over seeds.
        notes: What the reader should know, one sentence each.
        rounds_with_wait: Mean field with the wait for the first lesson added; None where not computed.
        tokens_mean: rollouts_mean x tokens per rollout; None where that number is not given.
        mean_range: Rounds between which the mean over seeds lies: mean_rounds twice for an exact law, else as
            far around it as simulations were (docs/results/predict), and half a round; None without a mean.
    """

    method: Method
    p0: float
    target: float
    mean_rounds: float | None
    sd_rounds: float | None
    quantiles: dict[str, float] | None
    rollouts_mean: float | None
    zero_signal_fraction: float
    snr: float | None
    drift: float
    curve: dict[str, list[float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rounds_with_wait: float | None = None
    tokens_mean: float | None = None
    mean_range: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; numbers without a value are None."""
        return asdict(self) | {"notes": list(self.notes)}


def rollouts_per_round(design: Design) -> int:
    """Rollouts that one round draws; the raw signal has no use for baseline rollouts and draws none."""
    extra = 0 if design.signal == "raw" else design.baseline_rollouts
    return design.batch_size * (design.rollouts + extra)


def curve_rounds(design: Design) -> int:
    """Length of the predicted curve, in rounds."""
    return min(design.rounds, MAX_CURVE_ROUNDS)


def assemble(
    case: Case,
    target: float,
    evaluation: Evaluation | None,
    notes: Sequence[str],
    tokens_per_rollout: float | None = None,
    band: bool = False,
) -> Prediction:
    """Estimate a case and say what came out.

    Args:
        case: Design and world.
        target: Pass@1 to reach, in (0, 1).
        evaluation: If given, the curve is reported on its grid of rounds.
        notes: What is known beforehand.
        tokens_per_rollout: Mean length of a response, tokens.
        band: Whether to give the curve's quantiles over seeds.

    Raises:
        InputError: The target is outside (0, 1), or the case cannot be followed.
    """
    domain.open_unit("target", target)
    if tokens_per_rollout is not None:
        domain.positive("tokens_per_rollout", tokens_per_rollout)
    found, first = estimate(case, target, curve_rounds(case.design)), case.first
    curve = _curve(case, found, evaluation, band)
    spent = None if found.mean is None else found.mean * rollouts_per_round(case.design)
    return Prediction(
        method="exact" if found.source == "ladder" else "mean-field",
        p0=case.p0,
        target=target,
        mean_rounds=found.mean,
        sd_rounds=found.sd,
        quantiles=found.quantiles,
        rollouts_mean=spent,
        zero_signal_fraction=first.zero_signal_fraction,
        snr=first.snr if math.isfinite(first.snr) else None,
        drift=first.drift,
        curve=curve,
        notes=(*notes, *_notes(case, found, target)),
        rounds_with_wait=found.with_wait,
        tokens_mean=None if spent is None or tokens_per_rollout is None else spent * tokens_per_rollout,
        mean_range=mean_range(found.mean, found.error),
    )


def mean_range(mean: float | None, error: tuple[float, float] | None) -> tuple[float, float] | None:
    """Where a mean of simulated rounds lies, from the factors of its error and half a round."""
    if mean is None or error is None:
        return None
    if error == EXACT:
        return mean, mean
    return max(mean * error[0] - 0.5, 0.0), mean * error[1] + 0.5


def _notes(case: Case, found: Estimate, target: float) -> list[str]:
    if found.sizes_left_out:
        said = f"mean and spread leave out {found.sizes_left_out} of {SIZES} sizes of query, of unknown time"
        return [said, *_notes(case, replace(found, sizes_left_out=0), target)]
    if found.refused is not None:
        alone = "does not arrive" if found.mean_field is None else f"says {found.mean_field} rounds"
        return [f"no mean: {found.refused}; the mean field alone {alone}"]
    if found.source == "chain":
        return ["mean_rounds and sd_rounds include sampling noise (chain), the curve does not"]
    if found.source == "mean-field" and found.mean is None:
        rest = f": Pass@1 rests at {found.path.rest:.3g}" if found.path is not None else ""
        return [f"target {target:g} is not reached{rest}"]
    if found.with_wait is not None and out_of_range(case):
        without = "the mean field never arrives" if found.mean_field is None else f"{found.mean_field} rounds"
        return [f"mean_rounds includes the wait for the first lesson, {without} without it"]
    return []


def _curve(case: Case, found: Estimate, evaluation: Evaluation | None, band: bool) -> dict[str, list[float]]:
    last = curve_rounds(case.design)
    every = 1 if evaluation is None else evaluation.eval_every
    shown = sorted({*range(0, last + 1, every), last})
    path = found.path or follow(case.coordinates, case.design, p0=case.p0, rounds=last)
    values = mean_curve(case.p0, case.step, last) if found.source == "ladder" else path.pass_at_1_T
    out = {"round": [float(t) for t in shown], "pass_at_1": [float(values[t]) for t in shown]}
    if not band or last > MAX_BAND_ROUNDS:
        return out
    if found.source == "ladder":
        bands = pass_at_1_quantiles(case.p0, case.step, last, BAND)
    else:
        cloud = spread(case.coordinates, case.design, p0=case.p0, rounds=last + last // 2)
        if cloud is None:
            return out
        bands = cloud.pass_at_1_quantiles(BAND, last)
    for name, row in zip(("low", "high"), np.asarray(bands), strict=True):
        out[name] = [float(row[t]) for t in shown]
    return out


SEQUENCE_ERROR = {"direction": (0.9, 1.15), "tree": (0.7, 1.15), "table": (0.85, 1.25)}
"""Errors of the mean (docs/theory.md, section 10): a simulated mean is so many times the predicted one."""


@dataclass(frozen=True)
class SequenceSetting:
    """A response of T positions, as something that designs can be compared in."""

    positions: Positions

    def times(self, designs: Sequence[Design], target: float) -> list[float | None]:
        """Rounds of each design to a Pass@1; None where it is not reached.

        Raises:
            InputError: A design is not covered.
        """
        return [_sequence_rounds(design, self.positions, target)[0] for design in designs]


def predict_sequence(
    design: Design,
    positions: Positions,
    *,
    target: float,
    evaluation: Evaluation | None = None,
    tokens_per_rollout: float | None = None,
    band: bool = False,
) -> Prediction:
    """Predict the sequence bandit (theory §10).

    The ladder of one raw {0,1} rollout under SGD is exact, with its spread. Elsewhere the mean field gives
    the mean, with the wait for the first lesson; the spread over seeds is not known.

    Args:
        design: As for `banditrft.theory.sequence.sequence_mean_field`.
        positions: The response.
        target: Pass@1 to reach, in (0, 1).
        evaluation: If given, the curve is reported on its grid of rounds.
        tokens_per_rollout: Mean length of a response, for the tokens spent; by default T.
        band: Whether the curve carries its 5% and 95% quantiles over seeds, where they are known.

    Raises:
        InputError: The design is not covered, or an argument is outside its domain.
    """
    check_design(design)
    domain.open_unit("target", target)
    tokens = float(len(positions))
    if tokens_per_rollout is not None:
        tokens = domain.positive("tokens_per_rollout", tokens_per_rollout)
    now = ClassMoments.at(sequence_round_law(design, positions).moments(log_odds_of(positions.log_p)))
    mean, law = _sequence_rounds(design, positions, target)
    geometry = "table" if positions.table else "tree" if positions.tree else "direction"
    error = EXACT if law else SEQUENCE_ERROR[geometry]
    notes = [*cautions.of_design(design)]
    warned = cautions.silent(now.zero_signal_fraction, positions.pass_at_1)
    notes += [warned] if warned else []
    if mean is None:
        notes.append(f"target {target:g} is not reached")
    elif law is None:
        notes.append("the spread over seeds of a sequence is not known in closed form: simulate it")
        if np.ptp(positions.gap_T) > 0.0:
            notes.append(
                f"of {len(positions)} positions {positions.effective_length:.3g} count (effective length)"
            )
    spent = None if mean is None else mean * rollouts_per_round(design)
    return Prediction(
        method="exact" if law else "mean-field",
        p0=positions.pass_at_1,
        target=target,
        mean_rounds=mean,
        sd_rounds=law.sd if law else None,
        quantiles=named(law.quantiles(LEVELS)) if law else None,
        rollouts_mean=spent,
        zero_signal_fraction=now.zero_signal_fraction,
        snr=now.snr if math.isfinite(now.snr) else None,
        drift=now.drift,
        curve=_sequence_curve(design, positions, evaluation, exact=law is not None, band=band),
        notes=tuple(notes),
        tokens_mean=None if spent is None else spent * tokens,
        mean_range=mean_range(mean, error),
    )


def _sequence_rounds(
    design: Design, positions: Positions, target: float
) -> tuple[float | None, HittingLaw | None]:
    """Mean rounds, and the exact law where there is one."""
    honest = design.reward == "zero-one" and design.signal == "raw" and design.kl_coef == 0.0
    if honest and design.optimizer == "sgd" and design.rollouts * design.batch_size == 1:
        sequence_round_law(design, positions)
        law = sequence_law(positions, design.learning_rate, target)
        return law.mean, law
    return rounds_with_wait(design, positions, target), None


def _sequence_curve(
    design: Design, positions: Positions, evaluation: Evaluation | None, *, exact: bool, band: bool
) -> dict[str, list[float]]:
    last = curve_rounds(design)
    every = 1 if evaluation is None else evaluation.eval_every
    shown = sorted({*range(0, last + 1, every), last})
    out = {"round": [float(t) for t in shown]}
    if not exact:
        path = sequence_mean_field(design, positions, rounds=last)
        return out | {"pass_at_1": [float(path.pass_at_1_T[t]) for t in shown]}
    rungs = sequence_rungs(positions, design.learning_rate, math.inf, last + 1)
    values = ladder_curve(rungs, last)
    out["pass_at_1"] = [float(values[t]) for t in shown]
    if band and last <= MAX_BAND_ROUNDS:
        for name, row in zip(("low", "high"), ladder_quantiles(rungs, last, BAND), strict=True):
            out[name] = [float(row[t]) for t in shown]
    return out


POOL_ERROR = (0.75, 1.5)
"""Errors of the mean (docs/results/predict)."""
POOL_STEP, POOL_WAIT = 0.5, 0.1
"""Log-odds of a step, and share of rounds before a first lesson, above which there is no mean."""


@dataclass(frozen=True)
class PoolSetting:
    """A world with a pool of queries, as something that designs can be compared in."""

    world: ContextualWorld

    def times(self, designs: Sequence[Design], target: float) -> list[float | None]:
        """Rounds of each design to a mean Pass@1 of the pool; None where it is not reached.

        Raises:
            InputError: A design is not covered.
        """
        for design in designs:
            check_design(design)
        return [pool_field(design, self.world, target=target).rounds_to(target) for design in designs]


def predict_pool(
    design: Design,
    world: ContextualWorld,
    *,
    target: float,
    evaluation: Evaluation | None,
    tokens_per_rollout: float | None,
) -> Prediction:
    """Predict mean train and test Pass@1 of a pool; the spread over seeds is not known.

    Args:
        design: As for `banditrft.theory.pool.pool_field`.
        world: The contextual world.
        target: Mean Pass@1 of the pool to reach, in (0, 1).
        evaluation: If given, the curves are reported on its grid of rounds.
        tokens_per_rollout: Mean length of a response, for the tokens spent.

    Raises:
        InputError: The design or the world is not covered.
    """
    check_design(design)
    if tokens_per_rollout is not None:
        domain.positive("tokens_per_rollout", tokens_per_rollout)
    last = min(design.rounds, MAX_ROUNDS)
    field = pool_field(design, world, rounds=last, target=target)
    arrival = field.rounds_to(target)
    refused = _unreliable_pool(design, world, field, arrival)
    rounds = None if refused else arrival
    notes = [
        *cautions.of_design(design),
        f"a pool of {world.train_items} queries: Pass@1 is its mean, without spread over seeds",
    ]
    warned = cautions.silent(field.silent, float(field.train_T[0]))
    if warned:
        notes.append(warned)
    if design.replay_window > design.rollouts + design.baseline_rollouts and design.signal != "raw":
        notes.append("replay_window: past rewards are taken as fresh, their lag is left out (theory §8)")
    if refused:
        notes.append(f"no mean: {refused}; the mean field alone says {arrival} rounds")
    elif rounds is None:
        notes.append(f"target {target:g} is not reached in {MAX_ROUNDS} rounds")
    every = 1 if evaluation is None else evaluation.eval_every
    shown = sorted({*range(0, last + 1, every), last})
    spent = None if rounds is None else float(rounds * rollouts_per_round(design))
    return Prediction(
        method="mean-field",
        p0=float(field.train_T[0]),
        target=target,
        mean_rounds=None if rounds is None else float(rounds),
        sd_rounds=None,
        quantiles=None,
        rollouts_mean=spent,
        zero_signal_fraction=field.silent,
        snr=field.snr if math.isfinite(field.snr) else None,
        drift=field.drift,
        curve={
            "round": [float(t) for t in shown],
            "pass_at_1": [float(field.train_T[t]) for t in shown],
            "test_pass_at_1": [float(field.test_T[t]) for t in shown],
        },
        notes=tuple(notes),
        tokens_mean=None if spent is None or tokens_per_rollout is None else spent * tokens_per_rollout,
        mean_range=mean_range(None if rounds is None else float(rounds), POOL_ERROR),
    )


def _unreliable_pool(
    design: Design, world: ContextualWorld, field: PoolField, rounds: int | None
) -> str | None:
    """Why pools do not follow their mean field, if so."""
    size = world.dimension * world.noise**2 + world.transfer**2
    gain = size if design.optimizer == "sgd" else sign_overlap(world.dimension) * math.sqrt(size)
    step = design.learning_rate * gain
    if step > POOL_STEP:
        return f"learning_rate: a step moves a query by {step:.2g} log-odds, above {POOL_STEP:g} (theory §8)"
    wait = 1.0 / max(1.0 - field.silent**design.batch_size, 1e-300)
    if rounds is not None and wait > POOL_WAIT * rounds:
        return f"the wait for a first lesson, {wait:.3g} rounds, is no small part of it (theory §8)"
    return None
