"""Hitting times of the contextual world's training query (theory §2 and §4 on the world of §6).

All gradients are multiples of the query's features u0, so its log-odds move by learning_rate x |u0|^2 x
multiplier under SGD, and by learning_rate x sum_i |u0_i| m_hat/(sqrt(v_hat) + eps/|u0_i|) under Adam, with
Adam's moments m, v of the scalar multiplier. Given u0 the SGD law is exact (ladder or chain); Adam's is a
mean field. Queries differ in
u0: |u0|^2 and sum_i |u0_i| are replaced by their means at the query's base Pass@1 (about 16% and 9% spread at
d = 64), and eps acts at the mean |u0_i|.
"""

import numpy as np

from banditrft.design import Design
from banditrft.theory import domain
from banditrft.theory.adam import MeanField, feature_moments, follow
from banditrft.theory.contexts import Geometry
from banditrft.theory.generalisation import mean_size
from banditrft.theory.signals import GroupLaw, require
from banditrft.worlds import ContextualWorld


def log_odds_gain(world: ContextualWorld, optimizer: str) -> float:
    """Log-odds of the training query per unit of step: E|u0|^2 for SGD, E sum_i |u0_i| for Adam (theory §6).

    Args:
        world: The contextual world; its ``base_pass_at_1`` fixes the query's base log-odds.
        optimizer: "sgd" or "adam".
    """
    if optimizer == "sgd":
        return Geometry(world, domain.log_odds(world.base_pass_at_1)).feature_norm_sq
    return mean_size(world, world.base_pass_at_1)


def query_field(
    design: Design, world: ContextualWorld, *, rounds: int = 0, target: float | None = None
) -> MeanField:
    """Mean-field trajectory of the training query's Pass@1.

    Args:
        design: raw, centered, grpo or rloo; sgd or adam; any number of rollouts.
        world: The contextual world.
        rounds: Rounds to run in any case.
        target: Run on until this Pass@1, at most 200,000 rounds.

    Raises:
        InputError: An argument is outside its domain, or the design has no closed form.
    """
    require(design, "optimizer", ("sgd", "adam"))
    gain, d = log_odds_gain(world, design.optimizer), world.dimension
    size = np.sqrt(gain / d) if design.optimizer == "sgd" else gain / d
    moments = feature_moments(GroupLaw.of(design), np.array([size]))
    return follow(
        moments, np.array([d * size]), design, p0=world.base_pass_at_1, rounds=rounds, target=target
    )
