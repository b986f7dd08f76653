"""What to expect of a planned run before anything is spent: closed forms of theory §2-§4 and §6, combined.

`predict` answers for the tabular bandit, `predict_contextual` for the contextual world and its test set,
`predict_world` for whichever of them a study names. The
method is "exact" (the ladder of theory §2) for one raw {0,1} rollout, SGD and one correct arm, "mean-field"
(theory §4) otherwise. No run is simulated and no random number is drawn. Language
models share parameters among responses, so a tabular prediction is a yardstick for them, not a forecast.
"""

import math
from dataclasses import replace
from typing import Literal

from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.adam import mean_field
from banditrft.theory.chain import chain_moments
from banditrft.theory.contextual import log_odds_gain, query_field
from banditrft.theory.generalisation import held_out
from banditrft.theory.hitting import tabular_gain
from banditrft.theory.prediction import (
    Prediction,
    approximate,
    curve_rounds,
    exact,
    general_notes,
    is_ladder,
    moments_of,
)
from banditrft.theory.signals import GroupLaw
from banditrft.worlds import ContextualWorld, LumpedWorld, WorldSettings

__all__ = [
    "Prediction",
    "hitting_ratio",
    "hitting_ratio_contextual",
    "predict",
    "predict_contextual",
    "predict_world",
    "two_classes",
]

LARGE_STEP = 3.0
"""Log-odds per first success above which a run is a few jumps and a smooth curve a poor guide."""
NEARLY_ONE = 1.0 - 1e-12


def predict(
    design: Design,
    *,
    p0: float,
    num_arms: int = 1000,
    num_correct: int = 1,
    target: float = 0.99,
    evaluation: Evaluation | None = None,
) -> Prediction:
    """Predict rounds to a Pass@1, wasted rounds and noise of the tabular bandit (theory §2-§4).

    Args:
        design: raw, centered, grpo or rloo; sgd or adam; batch size 1; {0,1}, {-1,0} or {-1,1} rewards.
        p0: Base Pass@1, in (0, 1).
        num_arms: K, number of arms, above ``num_correct``.
        num_correct: m, number of correct arms.
        target: Pass@1 to reach, in (0, 1).
        evaluation: If given, the curve is reported on its grid of rounds instead of every round.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    m, wrong = domain.arms(num_arms, num_correct)
    first = moments_of(design, p0, target)
    notes = general_notes(design, first)
    if m > 1:
        notes.append(
            "num_correct: several correct arms part company in a run; their mean field is an upper estimate"
        )
    if design.optimizer == "adam" and abs(first.drift) / wrong < 10 * design.adam_eps:
        notes.append(
            f"adam_eps: a wrong arm's mean gradient is {abs(first.drift) / wrong:.1g} at p0, so eps = "
            f"{design.adam_eps:g} slows the wrong arms down (theory §4)"
        )
    step = design.learning_rate * (1.0 / m + 1.0 / wrong)
    if design.optimizer == "sgd" and step * (1.0 - p0) > LARGE_STEP:
        notes.append(_jump(step * (1.0 - p0)))
    if is_ladder(design) and m == 1:
        step = design.learning_rate * tabular_gain(num_arms)
        return exact(design, first, p0, target, step, evaluation, notes)
    span = curve_rounds(design)
    if _has_chain(design) and m == 1:
        path = mean_field(design, p0=p0, num_arms=num_arms, rounds=span)
        chain = chain_moments(GroupLaw.of(design), p0, step, target)
        return approximate(design, first, p0, target, path, evaluation, notes, chain)
    path = mean_field(design, p0=p0, num_arms=num_arms, num_correct=m, rounds=span, target=target)
    return approximate(design, first, p0, target, path, evaluation, notes)


def predict_contextual(
    design: Design, world: ContextualWorld, *, target: float = 0.99, evaluation: Evaluation | None = None
) -> Prediction:
    """Predict the contextual world: rounds of its training query, test Pass@1 along the way (theory §6).

    Args:
        design: As for :func:`predict`.
        world: The contextual world; its ``base_pass_at_1`` is p0. Training queries are taken at their mean
            size, so the method is "mean-field" even where the law given a query is exact (sd_rounds and
            quantiles are then those of a query of mean size).
        target: Pass@1 of the training query to reach, in (0, 1).
        evaluation: If given, the curves are reported on its grid of rounds instead of every round.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    p0 = world.base_pass_at_1
    first = moments_of(design, p0, target)
    notes = general_notes(design, first)
    optimizer: Literal["sgd", "adam"] = "sgd" if design.optimizer == "sgd" else "adam"
    step = design.learning_rate * log_odds_gain(world, optimizer)
    jump = step * (1.0 - p0) if optimizer == "sgd" else step
    if jump > LARGE_STEP:
        notes.append(_jump(jump))
    if is_ladder(design):
        found = exact(design, first, p0, target, step, evaluation, notes)
    elif optimizer == "sgd":
        path = query_field(design, world, rounds=curve_rounds(design))
        chain = chain_moments(GroupLaw.of(design), p0, step, target)
        found = approximate(design, first, p0, target, path, evaluation, notes, chain)
    else:
        path = query_field(design, world, rounds=curve_rounds(design), target=target)
        found = approximate(design, first, p0, target, path, evaluation, notes)
    tested = [held_out(world, p0, min(p, NEARLY_ONE), optimizer) for p in found.curve["pass_at_1"]]
    return replace(found, method="mean-field", curve=found.curve | {"test_pass_at_1": tested})


def predict_world(
    design: Design, world: WorldSettings, *, target: float = 0.99, evaluation: Evaluation | None = None
) -> Prediction:
    """Predict a design in a simulated world from the world's settings alone.

    Args:
        design: As for :func:`predict`.
        world: The contextual world, or a lumped one of one class of right and one class of wrong arms.
        target: Pass@1 to reach, in (0, 1).
        evaluation: If given, the curve is reported on its grid of rounds.

    Raises:
        InputError: The world or the design has no closed form.
    """
    if isinstance(world, ContextualWorld):
        return predict_contextual(design, world, target=target, evaluation=evaluation)
    p0, num_arms, num_correct = two_classes(world)
    return predict(
        design, p0=p0, num_arms=num_arms, num_correct=num_correct, target=target, evaluation=evaluation
    )


def two_classes(world: WorldSettings) -> tuple[float, int, int]:
    """Base Pass@1, arms and right arms of a lumped world of one right and one wrong class.

    Raises:
        InputError: The world is another one.
    """
    rewards = [c.reward for c in world.classes] if isinstance(world, LumpedWorld) else []
    if not isinstance(world, LumpedWorld) or sorted(rewards) != [0.0, 1.0]:
        raise InputError(
            f"world '{world.name}': closed forms cover the contextual world and lumped ones of one class of "
            f"right arms and one of wrong arms, got rewards {rewards}"
        )
    right = next(c for c in world.classes if c.reward == 1)
    return world.base_pass_at_1(), world.num_arms, right.arms


def hitting_ratio(
    slow: Design, fast: Design, *, p0: float, num_arms: int, num_correct: int = 1, target: float = 0.9
) -> float:
    """Predicted speed-up in rounds, T(slow) / T(fast), of the tabular bandit to the same Pass@1.

    Both sides are computed alike: by the chain of log-odds, sampling noise included, where it is exact for
    both (SGD, raw {0,1} rewards, one correct arm; theory §2), by the mean field otherwise (theory §4).

    Args:
        slow: Numerator's design.
        fast: Denominator's design.
        p0: Base Pass@1, in (0, 1).
        num_arms: K, number of arms.
        num_correct: m, number of correct arms.
        target: Pass@1 to reach, in (0, 1).

    Returns:
        The ratio; NaN when a side does not reach the target in 200,000 rounds, or starts there.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    designs = (slow, fast)
    for design in designs:
        moments_of(design, p0, target)
    if num_correct == 1 and all(map(_has_chain, designs)):
        gain = tabular_gain(num_arms)
        return _ratio(
            *(chain_moments(GroupLaw.of(d), p0, d.learning_rate * gain, target)[0] for d in designs)
        )
    paths = [mean_field(d, p0=p0, num_arms=num_arms, num_correct=num_correct, target=target) for d in designs]
    return _ratio(*(path.rounds_to(target) for path in paths))


def hitting_ratio_contextual(
    slow: Design, fast: Design, world: ContextualWorld, *, target: float = 0.9
) -> float:
    """Predicted speed-up in rounds, T(slow) / T(fast), of the contextual world's training query.

    As :func:`hitting_ratio`; under SGD the chain holds for every signal, because all parameters are shared.

    Args:
        slow: Numerator's design.
        fast: Denominator's design.
        world: The contextual world.
        target: Pass@1 of the training query to reach, in (0, 1).

    Returns:
        The ratio; NaN when a side does not reach the target in 200,000 rounds, or starts there.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    designs, p0 = (slow, fast), world.base_pass_at_1
    for design in designs:
        moments_of(design, p0, target)
    if all(d.optimizer == "sgd" for d in designs):
        gain = log_odds_gain(world, "sgd")
        return _ratio(
            *(chain_moments(GroupLaw.of(d), p0, d.learning_rate * gain, target)[0] for d in designs)
        )
    return _ratio(*(query_field(d, world, target=target).rounds_to(target) for d in designs))


def _has_chain(design: Design) -> bool:
    """Whether a tabular policy with one correct arm keeps its wrong arms equal: failures are silent."""
    return (design.signal, design.reward, design.optimizer) == ("raw", "zero-one", "sgd")


def _ratio(slow: float | None, fast: float | None) -> float:
    return slow / fast if slow and fast else math.nan


def _jump(log_odds: float) -> str:
    return f"learning_rate: a first success moves the log-odds by {log_odds:.1f}: a jump rather than a curve"
