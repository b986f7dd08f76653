"""Hitting times of the contextual world's training query (theory §2 and §4 on the world of §6).

All gradients are multiples of the query's features u0, so its log-odds move by learning_rate x |u0|^2 x
multiplier under SGD, and by learning_rate x sum_i |u0_i| m_hat/(sqrt(v_hat) + eps/|u0_i|) under Adam, with
Adam's moments m, v of the scalar multiplier. Given u0 the SGD law is exact (ladder or chain); Adam's is a
mean field. Queries differ in u0: :func:`gain_factors` is the law of |u0|^2 or sum_i |u0_i| at the query's
base Pass@1 (about 16% and 9% spread at d = 64, far more in few dimensions); eps acts at the mean |u0_i|.
"""

import math

import numpy as np

from banditrft.design import Design
from banditrft.theory import domain
from banditrft.theory.adam import OPTIMIZERS, MeanField, follow
from banditrft.theory.coordinates import Coordinates
from banditrft.theory.generalisation import (
    ALONG_NODES,
    Geometry,
    mean_size,
    normal_nodes,
    rest_nodes,
    sign_overlap,
)
from banditrft.theory.laws import require
from banditrft.theory.matching import matched_law
from banditrft.theory.moments import Floats
from banditrft.theory.tabulated import quick
from banditrft.worlds import ContextualWorld


def log_odds_gain(world: ContextualWorld, optimizer: str) -> float:
    """Log-odds of the training query per unit of step: E|u0|^2 for SGD, E sum_i |u0_i| for Adam (theory §6).

    Args:
        world: The contextual world; its ``base_pass_at_1`` fixes the query's base log-odds.
        optimizer: "sgd", or "adam" and "adamw".
    """
    if optimizer == "sgd":
        return Geometry(world, domain.log_odds(world.one_base())).feature_norm_sq
    return mean_size(world, world.one_base())


def query_field(
    design: Design, world: ContextualWorld, *, rounds: int = 0, target: float | None = None
) -> MeanField:
    """Mean-field trajectory of the training query's Pass@1.

    Args:
        design: As for `banditrft.theory.adam.mean_field`.
        world: The contextual world.
        rounds: Rounds to run in any case.
        target: Run on until this Pass@1.

    Raises:
        InputError: An argument is outside its domain, or the design has no closed form.
    """
    coordinates = query_coordinates(design, world)
    return follow(coordinates, design, p0=world.one_base(), rounds=rounds, target=target)


def query_coordinates(design: Design, world: ContextualWorld, factor: float = 1.0) -> Coordinates:
    """The training query's d weights, all of one size, as one coordinate that counts d times.

    Args:
        design: The design.
        world: The contextual world.
        factor: The query's gain over the mean one.

    Raises:
        InputError: The design has no closed form.
    """
    require(design, "optimizer", OPTIMIZERS)
    gain, d = log_odds_gain(world, design.optimizer) * factor, world.dimension
    size = np.sqrt(gain / d) if design.optimizer == "sgd" else gain / d
    law = quick(matched_law(design, world.one_base()))
    return Coordinates.features(law, np.array([size]), np.array([d * size]))


def gain_factors(world: ContextualWorld, optimizer: str) -> tuple[Floats, Floats]:
    """Law of a query's gain over its mean: |u0|^2 for SGD, sum_i |u0_i| for Adam (theory §6).

    Returns:
        Values and weights, both (Q,): a quadrature over the query's part in the plane of mu and w0, the
        squared length of its rest, and for Adam the sum of absolute values of a unit vector, by two moments.
    """
    plane, d = Geometry(world, domain.log_odds(world.one_base())), world.dimension
    nodes_Y, weights_Y = normal_nodes(ALONG_NODES)
    rest_R, weights_R = rest_nodes(d)
    along_Y1 = (plane.along_mean + world.noise * nodes_Y)[:, None]
    square_YR = plane.base_log_odds**2 / plane.weight_norm_sq + along_Y1**2 + world.noise**2 * rest_R
    weight_YR = weights_Y[:, None] * weights_R
    if optimizer == "sgd":
        values_Q, weight_Q = square_YR.ravel(), weight_YR.ravel()
    else:
        overlap = sign_overlap(d)
        sd = math.sqrt(max(1.0 + (d - 1) * 2.0 / math.pi - overlap**2, 0.0)) / overlap
        values_Q = (np.sqrt(square_YR)[..., None] * (1.0 + sd * np.array([-1.0, 1.0]))).ravel()
        weight_Q = np.repeat(weight_YR.ravel() / 2.0, 2)
    return values_Q / float(values_Q @ weight_Q), weight_Q
