"""What to expect of a planned run before anything is spent: closed forms of theory §2-§8, combined.

`predict` answers for the tabular bandit, `predict_contextual` for the contextual world and its test set,
`predict_sequence` for responses of several tokens,
`predict_world` for whichever of them a study names, `what_if` compares a design with its neighbours. The
method is "exact" (the ladder of theory §2) for one raw {0,1} rollout, SGD and one correct arm, "mean-field"
(theory §4) otherwise. No run is simulated and no random number is drawn. Language
models share parameters among responses, so a tabular prediction is a yardstick for them, not a forecast.
"""

import math
from dataclasses import replace
from typing import Literal

from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.theory import cases, cautions
from banditrft.theory.estimates import compare
from banditrft.theory.generalisation import held_out_curve
from banditrft.theory.prediction import (
    PoolSetting,
    Prediction,
    SequenceSetting,
    assemble,
    predict_pool,
    predict_sequence,
)
from banditrft.theory.sequence import Positions, positions_of
from banditrft.theory.what_if import WhatIf, what_if
from banditrft.worlds import ContextualWorld, LumpedWorld, SequenceWorld, WorldSettings

__all__ = [
    "Prediction",
    "WhatIf",
    "hitting_ratio",
    "hitting_ratio_contextual",
    "hitting_ratio_sequence",
    "predict",
    "predict_contextual",
    "predict_sequence",
    "predict_world",
    "setting_of",
    "two_classes",
    "what_if",
]

NEARLY_ONE = 1.0 - 1e-12


def predict(
    design: Design,
    *,
    p0: float,
    num_arms: int = 1000,
    num_correct: int = 1,
    shared: float = 0.0,
    target: float = 0.99,
    evaluation: Evaluation | None = None,
    tokens_per_rollout: float | None = None,
    band: bool = False,
) -> Prediction:
    """Predict rounds to a Pass@1, wasted rounds and noise of the tabular bandit (theory §2-§4).

    Args:
        design: Any signal and optimiser; a two-valued reward, honest, noisy or placebo; one update per
            round and no gradient clipping. A batch is B copies of the query.
        p0: Base Pass@1, in (0, 1).
        num_arms: K, number of arms, above ``num_correct``.
        num_correct: m, number of correct arms.
        shared: kappa, strength of the parameter that all arms of a class share, 0 or more.
        target: Pass@1 to reach, in (0, 1).
        evaluation: If given, the curve is reported on its grid of rounds instead of every round.
        tokens_per_rollout: Mean length of a response, for the tokens spent.
        band: Whether the curve carries its 5% and 95% quantiles over seeds.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    case = cases.tabular(p0, num_arms, num_correct, shared)(design)
    notes = _notes(case)
    if num_correct > 1:
        notes.append(
            "num_correct: several correct arms part company in a run; their mean field is an upper estimate"
        )
    if design.kl_coef > 0.0:
        from banditrft.theory.fixed_points import rest  # roots, which no other prediction needs

        notes += filter(None, [rest(design, p0)])
    per_arm = abs(case.first.drift) / (num_arms - num_correct)
    if design.optimizer != "sgd" and per_arm < 10 * design.adam_eps and not shared:
        notes.append(
            f"adam_eps: a wrong arm's mean gradient is {per_arm:.1g} at p0, so eps = "
            f"{design.adam_eps:g} slows the wrong arms down (theory §4)"
        )
    return assemble(case, target, evaluation, notes, tokens_per_rollout, band)


def predict_contextual(
    design: Design,
    world: ContextualWorld,
    *,
    target: float = 0.99,
    evaluation: Evaluation | None = None,
    tokens_per_rollout: float | None = None,
    band: bool = False,
) -> Prediction:
    """Predict the contextual world: rounds of its training query, test Pass@1 along the way (theory §6).

    Args:
        design: As for :func:`predict`.
        world: The contextual world. With one training query its ``base_pass_at_1`` is p0; rounds and their
            spread are those over queries of all sizes, the curve is that of one of mean size, so the method
            is "mean-field" even where the law given a query is exact. With a pool, or a range of
            bases, Pass@1 is the pool's mean (theory §8) and the spread is not known.
        target: Pass@1 of the training query to reach, in (0, 1).
        evaluation: If given, the curves are reported on its grid of rounds instead of every round.
        tokens_per_rollout: Mean length of a response, for the tokens spent.
        band: Whether the curve carries its 5% and 95% quantiles over seeds.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    if not cases.has_single_query(world):
        return predict_pool(
            design, world, target=target, evaluation=evaluation, tokens_per_rollout=tokens_per_rollout
        )
    case = cases.contextual(world)(design)
    found = assemble(case, target, evaluation, _notes(case), tokens_per_rollout, band)
    optimizer: Literal["sgd", "adam"] = "sgd" if design.optimizer == "sgd" else "adam"
    trained = [min(p, NEARLY_ONE) for p in found.curve["pass_at_1"]]
    tested = held_out_curve(world, case.p0, trained, optimizer)
    return replace(found, method="mean-field", curve=found.curve | {"test_pass_at_1": tested})


def predict_world(
    design: Design,
    world: WorldSettings,
    *,
    target: float = 0.99,
    evaluation: Evaluation | None = None,
    tokens_per_rollout: float | None = None,
    band: bool = False,
) -> Prediction:
    """Predict a design in a simulated world from the world's settings alone.

    Args:
        design: As for :func:`predict`.
        world: The contextual world, the sequence bandit, or a lumped one of one class of right and one class
            of wrong arms.
        target: Pass@1 to reach, in (0, 1).
        evaluation: If given, the curve is reported on its grid of rounds.
        tokens_per_rollout: Mean length of a response, for the tokens spent.
        band: Whether the curve carries its 5% and 95% quantiles over seeds.

    Raises:
        InputError: The world or the design has no closed form.
    """
    if isinstance(world, ContextualWorld):
        return predict_contextual(
            design,
            world,
            target=target,
            evaluation=evaluation,
            tokens_per_rollout=tokens_per_rollout,
            band=band,
        )
    if isinstance(world, SequenceWorld):
        return predict_sequence(
            design,
            positions_of(world),
            target=target,
            evaluation=evaluation,
            tokens_per_rollout=tokens_per_rollout,
            band=band,
        )
    p0, num_arms, num_correct = _classes(world)
    return predict(
        design,
        p0=p0,
        num_arms=num_arms,
        num_correct=num_correct,
        shared=world.shared if isinstance(world, LumpedWorld) else 0.0,
        target=target,
        evaluation=evaluation,
        tokens_per_rollout=tokens_per_rollout,
        band=band,
    )


def setting_of(world: WorldSettings) -> cases.Setting | PoolSetting | SequenceSetting:
    """A simulated world as a function of the design, for comparisons.

    Raises:
        InputError: The world has no closed form.
    """
    if isinstance(world, ContextualWorld):
        return cases.contextual(world) if cases.has_single_query(world) else PoolSetting(world)
    if isinstance(world, SequenceWorld):
        return SequenceSetting(positions_of(world))
    return cases.tabular(*_classes(world), world.shared if isinstance(world, LumpedWorld) else 0.0)


def two_classes(world: WorldSettings) -> tuple[float, int, int]:
    """Base Pass@1, arms and right arms of a lumped world of one right and one wrong class.

    Raises:
        InputError: The world is another one, or its arms share parameters.
    """
    found = _classes(world)
    if isinstance(world, LumpedWorld) and world.shared:
        raise InputError(
            f"shared: must be 0 in world '{world.name}', where arms are described by number alone"
        )
    return found


def hitting_ratio(
    slow: Design, fast: Design, *, p0: float, num_arms: int, num_correct: int = 1, target: float = 0.9
) -> float:
    """Predicted speed-up in rounds, T(slow) / T(fast), of the tabular bandit to the same Pass@1.

    Both sides are computed alike: by the chain of log-odds, sampling noise included, where it is exact for
    both (SGD, raw {0,1} rewards, one correct arm; theory §2), by the mean field otherwise (theory §4),
    with the wait for the first lesson on both sides if either needs it.

    Args:
        slow: Numerator's design.
        fast: Denominator's design.
        p0: Base Pass@1, in (0, 1).
        num_arms: K, number of arms.
        num_correct: m, number of correct arms.
        target: Pass@1 to reach, in (0, 1).

    Returns:
        The ratio; NaN when a side never reaches the target, or starts there.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    return _ratio(cases.tabular(p0, num_arms, num_correct), slow, fast, target)


def hitting_ratio_contextual(
    slow: Design, fast: Design, world: ContextualWorld, *, target: float = 0.9
) -> float:
    """Predicted speed-up in rounds, T(slow) / T(fast), of the contextual world's training query.

    As :func:`hitting_ratio`; under SGD the chain holds for every signal, because all parameters are shared.

    Args:
        slow: Numerator's design.
        fast: Denominator's design.
        world: The contextual world with one training query.
        target: Pass@1 of the training query to reach, in (0, 1).

    Returns:
        The ratio; NaN when a side never reaches the target, or starts there.

    Raises:
        InputError: Names the argument or design field that the closed forms do not cover.
    """
    return _ratio(cases.contextual(world), slow, fast, target)


def hitting_ratio_sequence(slow: Design, fast: Design, positions: Positions, *, target: float = 0.9) -> float:
    """Predicted speed-up in rounds, T(slow) / T(fast), of the sequence bandit; see :func:`hitting_ratio`."""
    first, second = SequenceSetting(positions).times([slow, fast], target)
    return first / second if first and second else math.nan


def _ratio(setting: cases.Setting, slow: Design, fast: Design, target: float) -> float:
    first, second = compare([setting(slow), setting(fast)], target)
    return first / second if first and second else math.nan


def _notes(case: cases.Case) -> list[str]:
    return [*cautions.of_design(case.design), *cautions.of_case(case)]


def _classes(world: WorldSettings) -> tuple[float, int, int]:
    rewards = [c.reward for c in world.classes] if isinstance(world, LumpedWorld) else []
    if not isinstance(world, LumpedWorld) or sorted(rewards) != [0.0, 1.0]:
        raise InputError(
            f"world '{world.name}': closed forms cover the contextual world and lumped ones of one class of "
            f"right and one of wrong arms, got {len(rewards)} classes of rewards {sorted(set(rewards))[:3]}"
        )
    right = next(c for c in world.classes if c.reward == 1)
    return world.base_pass_at_1(), world.num_arms, right.arms
