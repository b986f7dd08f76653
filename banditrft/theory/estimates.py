"""Rounds to a Pass@1 by the best closed form that a case has (theory §2, §4).

In order: the exact ladder; the chain of log-odds with its sampling noise; the mean field, to which the wait
for the first lesson is added outside p0 >= .02 and learning rate <= .1, the range in which the mean field
alone stays within 15%. The spread over seeds comes from the law, the chain's moments, or the linear
noise around the mean field.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from banditrft.rewards import is_honest, reward_map
from banditrft.theory import domain
from banditrft.theory.adam import LARGEST_LEAP, MeanField, follow
from banditrft.theory.cases import Case, climbs
from banditrft.theory.chain import GRID, chain_time
from banditrft.theory.groups import GroupLaw
from banditrft.theory.hitting import hitting_law, rungs_to
from banditrft.theory.spread import SpreadPath, mixed_quantiles, spread
from banditrft.theory.tabulated import TabulatedLaw

LEVELS = (0.05, 0.5, 0.95)
MILDEST_P0, LARGEST_RATE = 0.02, 0.1
"""Where the mean field alone is within 15% in rounds, under Adam."""
MOST_RUNGS = 100_000
"""Rungs of a ladder beyond which its moments come from the chain."""
SIZES = 7
"""Sizes of query between whose times others are interpolated."""
RARE, MOSTLY_SILENT = "lessons stay rare after the first one, and a mean field knows no waits", 1e-3
UNFOLLOWED = "runs with a late first lesson never arrive"
EXACT, CHAIN, SIZED = (1.0, 1.0), (0.98, 1.02), (0.95, 1.05)
FIELD, BOTH_WAYS, STRUCK = (0.85, 1.2), (0.85, 1.4), (0.7, 2.5)
SEVERAL, SEVERAL_ADAM = (0.05, 1.1), (0.7, 2.0)
"""Errors of the mean: of the exact law, the chain, that over queries of all sizes; of mean fields whose
log-odds only climb, may fall, are led by wrong arms that Adam strikes out one by one, or belong to several
right arms."""
MOST_SCATTER = 1.0
"""Standard deviation of the log-odds on the way above which runs do not follow the mean field, nats."""
MOST_QUIET = 0.5
"""Spread over mean above which linear noise of quiet arms, whose push changes sign, is not given."""
MOST_TRAP = 0.5
"""Trap ratio over the rollouts of a round above which some runs of punished arms fail."""
MOST_MISLED = 0.3
"""Rewards of a wrong answer per reward of a right one above which single wrong arms run ahead."""
COARSE, COARSE_LEAP = 2048, 0.1
"""Grid of the chain, and leaps of a mean field, where designs are compared or queries differ in size."""

TAIL, MAX_HORIZON = 5.0, 200_000
"""Standard deviations that a hitting time's law is given for; most rounds of it."""

Source = Literal["ladder", "chain", "mean-field"]


@dataclass(frozen=True)
class Estimate:
    """Rounds to the target.

    Attributes:
        source: Which closed form answers.
        mean: Expected rounds; for a mean field alone its first whole round; None if not reached.
        sd: Standard deviation over seeds; None where unknown.
        quantiles: Rounds by level "0.05", "0.5", "0.95"; None where unknown.
        mean_field: First whole round of the plain mean field; None if not computed or not reached.
        with_wait: Mean with the wait for the first lesson; None if not computed.
        path: The mean-field path, where one was followed.
        cloud: Its spread, where it was followed.
        refused: Why there is no mean although the mean field arrives; None if nothing speaks against it.
        error: The simulated mean over ``mean`` lies between these factors (docs/results/predict), but for
            half a round; None where there is no mean.
        sizes_left_out: Of the `SIZES` sizes of query that mean and spread are taken over, those whose own
            time is not known; the others stand for them.
    """

    source: Source
    mean: float | None
    sd: float | None = None
    quantiles: dict[str, float] | None = None
    mean_field: int | None = None
    with_wait: float | None = None
    path: MeanField | None = None
    cloud: SpreadPath | None = None
    refused: str | None = None
    error: tuple[float, float] | None = None
    sizes_left_out: int = 0


def named(values: Sequence[float]) -> dict[str, float]:
    """Quantiles by their level's name."""
    return {f"{level:g}": float(value) for level, value in zip(LEVELS, values, strict=True)}


def out_of_range(case: Case) -> bool:
    """Whether a mean field alone would miss too much of the wait for a first lesson."""
    return case.p0 < MILDEST_P0 or (
        case.design.optimizer != "sgd" and case.design.learning_rate > LARGEST_RATE
    )


def estimate(case: Case, target: float, rounds: int = 0) -> Estimate:
    """Mean, spread and quantiles of the rounds to ``target``, over queries where they differ in size.

    Args:
        case: Design and world.
        target: Pass@1 to reach, in (0, 1).
        rounds: Rounds that a mean-field path must cover in any case.

    Raises:
        InputError: The target is outside (0, 1), or the case cannot be followed.
    """
    found = _of_one_size(case, target, rounds)
    if case.sized is None or case.factors is None or not found.mean or found.sd is None:
        return found
    factors_Q, weights_Q = case.factors
    ends = np.quantile(factors_Q, (0.001, 0.999), weights=weights_Q, method="inverted_cdf")
    sizes_N = np.geomspace(float(ends[0]), float(ends[1]), SIZES)
    times = [
        _of_one_size(replace(case, coordinates=case.sized(float(size)), memo={}), target, coarse=True)
        for size in sizes_N
    ]
    known = [
        (size, time.mean if time.with_wait is None else time.with_wait, time.sd)
        for size, time in zip(sizes_N, times, strict=True)
        if time.mean and time.sd is not None
    ]
    if not known:
        return found
    size_N, mean_N, sd_N = np.array(known).T
    mean_Q = np.exp(np.interp(np.log(factors_Q), np.log(size_N), np.log(mean_N)))
    sd_Q = np.interp(np.log(factors_Q), np.log(size_N), sd_N)
    mean = float(weights_Q @ mean_Q)
    sd = math.sqrt(float(weights_Q @ (sd_Q**2 + mean_Q**2)) - mean**2)
    levels = mixed_quantiles(mean_Q, sd_Q, weights_Q, LEVELS)
    error = found.error if found.source == "mean-field" else SIZED
    left_out = SIZES - len(known)
    return replace(found, mean=mean, sd=sd, quantiles=named(levels), error=error, sizes_left_out=left_out)


def _of_one_size(case: Case, target: float, rounds: int = 0, *, coarse: bool = False) -> Estimate:
    """Mean, spread and quantiles of the rounds to ``target``.

    Args:
        case: Design and world.
        target: Pass@1 to reach, in (0, 1).
        rounds: Rounds that a mean-field path must cover in any case.
        coarse: Whether a rougher answer will do, where many are averaged.

    Raises:
        InputError: The target is outside (0, 1), or the case cannot be followed.
    """
    if case.ladder and rungs_to(case.p0, case.step, target) <= MOST_RUNGS:
        law = hitting_law(case.p0, case.step, target)
        return Estimate("ladder", law.mean, law.sd, named(law.quantiles(LEVELS)), error=EXACT)
    chain = case.chain
    if chain is not None:
        time = chain_time(chain, case.p0, case.step, target, COARSE if coarse else GRID)
        path = follow(case.coordinates, case.design, p0=case.p0, rounds=rounds)
        return Estimate("chain", time.mean, time.sd, named(time.quantiles(LEVELS)), path=path, error=CHAIN)
    leap = COARSE_LEAP if coarse else LARGEST_LEAP
    path = follow(case.coordinates, case.design, p0=case.p0, rounds=rounds, target=target, leap=leap)
    whole = path.rounds_to(target)
    cloud = spread(case.coordinates, case.design, p0=case.p0, target=target, leap=leap)
    if cloud is None:
        rare = climbing(case) and case.first.zero_signal_fraction > 1.0 - MOSTLY_SILENT
        late = UNFOLLOWED if whole is not None else None
        return Estimate("mean-field", None, mean_field=whole, path=path, refused=RARE if rare else late)
    refused = _unreliable(case, cloud, target)
    if refused is not None:
        return Estimate("mean-field", None, mean_field=whole, path=path, refused=refused)
    time_to = cloud.time_to(target)
    mean = time_to.mean if out_of_range(case) or whole is None else float(whole)
    if case.coordinates.quiet and whole is not None and time_to.sd > MOST_QUIET * time_to.mean:
        return Estimate("mean-field", float(whole), mean_field=whole, path=path, error=error_of(case))
    levels = named(time_to.quantiles(LEVELS))
    return Estimate(
        "mean-field", mean, time_to.sd, levels, whole, time_to.mean, path, cloud, error=error_of(case)
    )


def error_of(case: Case) -> tuple[float, float]:
    """Factors between which a simulated mean lies over that of the mean field (docs/results/predict)."""
    adam = case.design.optimizer != "sgd"
    if case.several:
        return SEVERAL_ADAM if adam else SEVERAL
    if case.design.signal == "raw" and reward_map(case.design).low < 0.0:
        return STRUCK if adam and not case.shared else BOTH_WAYS
    return FIELD if climbing(case) else BOTH_WAYS


def climbing(case: Case) -> bool:
    """Whether no answer's signal ever moves the log-odds down."""
    law = case.coordinates.law
    law = law.law if isinstance(law, TabulatedLaw) else law
    honest = is_honest(case.design) and case.design.kl_coef == 0.0
    return honest and (not isinstance(law, GroupLaw) or climbs(law))


def _unreliable(case: Case, cloud: SpreadPath, target: float) -> str | None:
    """Why runs do not follow their mean field, if so."""
    trap = case.trap
    if trap > MOST_TRAP:
        return (
            f"reward: punished wrong arms scatter faster than right ones grow (trap ratio {trap:.2g}, above "
            f"{MOST_TRAP:g}): a share of the runs falls to 0, which has no closed form (theory §5)"
        )
    if case.misled > MOST_MISLED:
        return (
            f"false_positive: wrong answers are rewarded {case.misled:.2g} times as often as right ones "
            f"(above {MOST_MISLED:g}): single wrong arms run ahead of raw rewards, and runs arrive late or "
            "never, which has no closed form (theory §4)"
        )
    scatter = 0.0 if climbing(case) else cloud.scatter(domain.log_odds(target))
    if scatter > MOST_SCATTER:
        return (
            f"signals that point the wrong way scatter the runs' log-odds by {scatter:.2g} on the way (above "
            f"{MOST_SCATTER:g}): some go astray and may never arrive, which has no closed form (theory §4)"
        )
    return None


def compare(cases: Sequence[Case], target: float) -> list[float | None]:
    """Expected rounds of several cases, all computed alike, so that ratios mean something.

    By the chain where all have one, else by the mean field, with the wait for the first lesson if any of them
    needs it. None where the target is not reached.
    """
    if any(_once(case, "reliable", target, _reliable) is None for case in cases):
        return [None] * len(cases)
    if all(case.chain is not None for case in cases):
        return [_once(case, "chain", target, _by_chain) for case in cases]
    if any(map(out_of_range, cases)):
        found = [_once(case, "spread", target, _with_wait) for case in cases]
        if None not in found:
            return found
    return [_once(case, "field", target, _by_field) for case in cases]


def _once(
    case: Case, name: str, target: float, compute: Callable[[Case, float], float | None]
) -> float | None:
    key = f"{name} to {target!r}"
    if key not in case.memo:
        case.memo[key] = compute(case, target)
    found: float | None = case.memo[key]
    return found


def _reliable(case: Case, target: float) -> float | None:
    """1 where runs follow the closed forms, else None."""
    if climbing(case) and case.trap <= MOST_TRAP:
        return 1.0
    cloud = spread(case.coordinates, case.design, p0=case.p0, target=target, leap=COARSE_LEAP)
    return 1.0 if cloud is None or _unreliable(case, cloud, target) is None else None


def _by_chain(case: Case, target: float) -> float | None:
    return None if case.chain is None else chain_time(case.chain, case.p0, case.step, target, COARSE).mean


def _with_wait(case: Case, target: float) -> float | None:
    cloud = spread(case.coordinates, case.design, p0=case.p0, target=target, leap=COARSE_LEAP)
    return None if cloud is None else cloud.time_to(target).mean


def _by_field(case: Case, target: float) -> float | None:
    return follow(case.coordinates, case.design, p0=case.p0, target=target, leap=COARSE_LEAP).rounds_to(
        target
    )


def hitting_cdf(case: Case, found: Estimate, target: float) -> NDArray[np.float64] | None:
    """P(T <= t) for t = 0..some rounds beyond the last quantile; None where the spread is unknown.

    Args:
        case: Design and world.
        found: Its estimate for the same target.
        target: Pass@1 to reach, in (0, 1).
    """
    if found.cloud is not None:
        return found.cloud.time_to(target).cdf_T
    if found.mean is None or found.sd is None:
        return None
    horizon = math.ceil(found.mean + TAIL * found.sd) + 1
    if horizon > MAX_HORIZON:
        return None
    if found.source == "ladder":
        return hitting_law(case.p0, case.step, target).cdf(horizon)
    chain = case.chain
    return None if chain is None else chain_time(chain, case.p0, case.step, target, COARSE).cdf(horizon)
