"""Contexts and base weights of the log-linear contextual world; a logit's expected sigmoid (theory §6)."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, roots_hermitenorm

from banditrft.worlds import ContextualWorld

TEST_NODES = 96


@functools.cache
def normal_nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Hermite nodes and weights of a standard normal variable, both (count,)."""
    nodes, weights = roots_hermitenorm(count)
    return np.asarray(nodes, dtype=np.float64), np.asarray(weights / weights.sum(), dtype=np.float64)


def expected_sigmoid(mean: ArrayLike, variance: ArrayLike) -> NDArray[np.float64]:
    """E[sigmoid(mean + sqrt(variance) Z)], Z standard normal: a Gauss-Hermite sum of 96 nodes (theory §6).

    Args:
        mean: Mean logit, any shape.
        variance: Variance of the logit, same shape, 0 or more.
    """
    nodes, weights = normal_nodes(TEST_NODES)
    sd = np.sqrt(np.asarray(variance, dtype=np.float64))
    values = expit(np.asarray(mean, dtype=np.float64)[..., None] + sd[..., None] * nodes)
    return np.asarray(values @ weights, dtype=np.float64)


@dataclass(frozen=True)
class Geometry:
    """The plane of mu and w0, given a training query's base log-odds (theory §6).

    Attributes:
        world: The contextual world.
        base_log_odds: l0 of the training query.
    """

    world: ContextualWorld
    base_log_odds: float

    @property
    def weight_norm_sq(self) -> float:
        """|w0|^2 = c^2 |mu|^2 + nu^2."""
        return (self.world.alignment * self.world.transfer) ** 2 + self.world.misalignment**2

    @property
    def mean_logit(self) -> float:
        """mu.w0 = c |mu|^2, mean logit of a context before training."""
        return self.world.alignment * self.world.transfer**2

    @property
    def along_mean(self) -> float:
        """Mean of the query's component orthogonal to w0 in the plane of mu and w0: |mu| nu / |w0|."""
        return self.world.transfer * self.world.misalignment / math.sqrt(self.weight_norm_sq)

    @property
    def feature_norm_sq(self) -> float:
        """E[|u0|^2 | l0] = l0^2/|w0|^2 + |mu|^2 - (mu.w0)^2/|w0|^2 + (d-1) sigma^2."""
        parallel_sq = self.base_log_odds**2 / self.weight_norm_sq
        return parallel_sq + self.along_mean**2 + (self.world.dimension - 1) * self.world.noise**2

    @property
    def transfer_logit(self) -> float:
        """E[mu.u0 | l0] = |mu|^2 (nu^2 + c l0) / |w0|^2: gain of the mean logit per unit step."""
        w = self.world
        return w.transfer**2 * (w.misalignment**2 + w.alignment * self.base_log_odds) / self.weight_norm_sq
