"""What a prediction says, and how its parts are put together. The front is :mod:`banditrft.predict`."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from banditrft.design import Design, Evaluation
from banditrft.theory import domain
from banditrft.theory.adam import MAX_ROUNDS, MeanField
from banditrft.theory.hitting import hitting_law, mean_curve
from banditrft.theory.signals import ClassMoments, class_moments, require

LEVELS = (0.05, 0.5, 0.95)
MAX_CURVE_ROUNDS = 10_000
MOSTLY = 0.9

Method = Literal["exact", "mean-field"]


@dataclass(frozen=True)
class Prediction:
    """Closed-form prediction of one design.

    Attributes:
        method: "exact" or "mean-field".
        p0: Base Pass@1.
        target: Pass@1 to reach.
        mean_rounds: Expected rounds to the target; for a mean-field path its first whole round there, None if
            that takes over 200,000 rounds; under SGD with sampling noise where the chain of theory §2 holds.
        sd_rounds: Standard deviation in rounds; None where only a mean-field path is known.
        quantiles: Rounds by level "0.05", "0.5", "0.95"; None likewise.
        rollouts_mean: mean_rounds x rollouts per round.
        zero_signal_fraction: Probability at p0 that every signal of a round is 0.
        snr: Signal-to-noise at p0, drift^2/variance of one update; None if there is no noise.
        drift: Mean multiplier at p0 (raw {0,1}: p0 (1-p0)).
        curve: "round" and expected "pass_at_1" (and, in the contextual world, "test_pass_at_1"): every round
            up to 10,000, or an evaluation's rounds.
        notes: What the reader should know, one sentence each.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; numbers without a value are None."""
        return asdict(self) | {"notes": list(self.notes)}


def moments_of(design: Design, p0: float, target: float) -> ClassMoments:
    """Moments of the first update, once design and probabilities are known to be covered.

    Raises:
        InputError: Names the argument or the design field that is not.
    """
    domain.open_unit("p0", p0)
    domain.open_unit("target", target)
    require(design, "optimizer", ("sgd", "adam"))
    require(design, "batch_size", (1,))
    require(design, "updates_per_round", (1,))
    require(design, "kl_coef", (0.0,))
    require(design, "grad_clip", (None,))
    return class_moments(design, p0)


def is_ladder(design: Design) -> bool:
    """Whether the exact law of theory §2 applies: one raw {0,1} rollout under SGD."""
    return (design.signal, design.reward, design.rollouts, design.optimizer) == ("raw", "zero-one", 1, "sgd")


def curve_rounds(design: Design) -> int:
    """Length of the predicted curve, in rounds."""
    return min(design.rounds, MAX_CURVE_ROUNDS)


def general_notes(design: Design, first: ClassMoments) -> list[str]:
    """Degenerate or risky settings that do not depend on the world."""
    notes = []
    if first.zero_signal_fraction > MOSTLY:
        notes.append(f"at p0 {first.zero_signal_fraction:.1%} of rounds carry no signal at all")
    if {"clip_low", "clip_high"} & design.model_fields_set:
        notes.append("clip_low, clip_high: inert, one update per round keeps the policy ratio at 1")
    if design.reward != "zero-one":
        notes.append(
            f"reward: under '{design.reward}' noise may trap runs, unseen by a mean field (theory §5)"
        )
    if design.optimizer == "adam" and design.learning_rate > 0.1:
        notes.append(
            "learning_rate: above 0.1 the mean field misses much of the wait for a first success (theory §4)"
        )
    if first.drift <= 0:
        notes.append("signal: no drift towards the correct arms")
    return notes


def exact(
    design: Design,
    first: ClassMoments,
    p0: float,
    target: float,
    step: float,
    evaluation: Evaluation | None,
    notes: Sequence[str],
) -> Prediction:
    """Prediction by the exact ladder of theory §2, ``step`` log-odds per unit of raw multiplier."""
    law = hitting_law(p0, step, target)
    levels = {f"{level:g}": float(t) for level, t in zip(LEVELS, law.quantiles(LEVELS), strict=True)}
    curve = mean_curve(p0, step, curve_rounds(design)).tolist()
    return _assemble(design, first, p0, target, "exact", law.mean, law.sd, levels, curve, evaluation, notes)


def approximate(
    design: Design,
    first: ClassMoments,
    p0: float,
    target: float,
    path: MeanField,
    evaluation: Evaluation | None,
    notes: Sequence[str],
    chain: tuple[float, float] | None = None,
) -> Prediction:
    """Prediction by a mean-field trajectory (theory §4).

    The trajectory covers the curve and runs on to the target, unless ``chain`` gives mean and standard
    deviation of the hitting time with sampling noise (theory §2).
    """
    curve = path.pass_at_1_T[: curve_rounds(design) + 1].tolist()
    if chain is not None:
        notes = [*notes, "mean_rounds and sd_rounds include sampling noise (chain), the curve does not"]
        mean, sd = chain
        return _assemble(design, first, p0, target, "mean-field", mean, sd, None, curve, evaluation, notes)
    rounds = path.rounds_to(target)
    if rounds is None:
        notes = [*notes, f"target {target:g} is not reached in {MAX_ROUNDS} rounds"]
    reached = None if rounds is None else float(rounds)
    return _assemble(design, first, p0, target, "mean-field", reached, None, None, curve, evaluation, notes)


def _assemble(
    design: Design,
    first: ClassMoments,
    p0: float,
    target: float,
    method: Method,
    mean: float | None,
    sd: float | None,
    quantiles: dict[str, float] | None,
    curve: list[float],
    evaluation: Evaluation | None,
    notes: Sequence[str],
) -> Prediction:
    last, every = len(curve) - 1, 1 if evaluation is None else evaluation.eval_every
    shown = sorted({*range(0, last + 1, every), last})
    return Prediction(
        method=method,
        p0=p0,
        target=target,
        mean_rounds=mean,
        sd_rounds=sd,
        quantiles=quantiles,
        rollouts_mean=None if mean is None else mean * design.rollouts,
        zero_signal_fraction=first.zero_signal_fraction,
        snr=first.snr if math.isfinite(first.snr) else None,
        drift=first.drift,
        curve={"round": [float(t) for t in shown], "pass_at_1": [curve[t] for t in shown]},
        notes=tuple(notes),
    )
