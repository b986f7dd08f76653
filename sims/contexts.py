"""Contexts of the log-linear contextual world: how they are drawn, or read from a file (theory §6).

A context u in R^d with offset b has log-odds u.w + b of a correct answer. Contexts are N(mu, sigma^2 I),
offsets N(0, s^2), base weights w0 = c mu + v with v orthogonal to mu. Adam depends on the basis, so mu and v
are given random directions, an orthonormal pair drawn once per root seed; so is the test set. Training
queries differ from seed to seed and are drawn *given* their base log-odds l0 = u.w0 + b, exactly: without the
condition l0 ~ N(mu.w0, V), V = sigma^2 |w0|^2 + s^2; a range of base Pass@1 truncates that law; and a draw
(u, b) is moved to its l0 along the covariance of (u, b) with u.w0 + b, u by sigma^2 w0/V and b by s^2/V per
unit of missing log-odds, which turns a sample of the joint normal law into one of the conditional law.

Addresses (`banditrft.streams`, purpose CONTEXT): training query n of a seed is item 0, rollout n; round 0
holds its d normal numbers, round 1 the uniform that places l0 in a range and the one of its offset. The
directions and test contexts belong to seed 0: FRAME_ITEM, and items TEST_ITEM on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from banditrft.streams import Purpose
from banditrft.worlds import ContextualWorld
from sims import aligned
from sims.draws import fill_uniforms
from sims.features import read_features
from sims.normals import fill_normals

Floats = NDArray[np.float64]
FRAME_ITEM, TEST_ITEM = 1, 2
"""Items of the CONTEXT stream of seed 0 that hold the directions, and the first test context."""


@dataclass(frozen=True)
class Contexts:
    """Sets of contexts.

    Attributes:
        u_PND: N contexts for each of P seeds; P = 1 where all seeds share them.
        offset_PN: Log-odds of each that no weight changes.
    """

    u_PND: Floats
    offset_PN: Floats

    @property
    def N(self) -> int:
        """Contexts in a set."""
        return int(self.u_PND.shape[1])

    def of(self, rows: slice) -> Self:
        """The sets of some seeds."""
        if len(self.u_PND) == 1:
            return self
        return type(self)(self.u_PND[rows], self.offset_PN[rows])


@dataclass(frozen=True)
class Frame:
    """What all contexts have in common: their mean, and the base weights."""

    mu_D: Floats
    w0_D: Floats


@dataclass(frozen=True)
class Scene:
    """A world ready to be run.

    Attributes:
        w0_D: Base weights.
        test: Held-out contexts.
        items: Training queries N of each seed.
        pool: Training queries of some seeds.
    """

    w0_D: Floats
    test: Contexts
    items: int
    pool: Callable[[Sequence[int] | NDArray[np.int64]], Contexts]


def scene(world: ContextualWorld, root_seed: int) -> Scene:
    """What a world's settings describe.

    Args:
        world: The world's settings.
        root_seed: First part of the key of every random number.

    Raises:
        InputError: The world's file of features cannot be used.
    """
    if world.features is None:
        common = frame(world, root_seed)
        return Scene(
            common.w0_D,
            test_set(world, common, root_seed),
            world.train_items,
            lambda seeds: training_pool(world, common, root_seed, seeds),
        )
    given = read_features(world.features)
    pool = Contexts(given.train_ND[None], given.train_offset_N[None])
    test = Contexts(given.test_MD[None], given.test_offset_M[None])
    return Scene(given.w0_D, test, pool.N, lambda _: pool)


def _uniforms(
    root_seed: int, seeds: NDArray[np.int64], items: NDArray[np.int64], round_: int, rollouts: int, count: int
) -> Floats:
    """Uniform numbers in (0, 1), (S, rollouts, count): those of `banditrft.streams.uniforms` plus 2^-54."""
    out = np.empty((len(seeds), rollouts, count))
    fill_uniforms(out, root_seed, seeds, items, int(Purpose.CONTEXT), round_)
    out += 2.0**-54
    return out


def random_directions(root_seed: int, dimension: int) -> Floats:
    """A random orthonormal pair (2, d), the same for every seed of a root seed."""
    zero = np.zeros(1, np.int64)
    drawn = np.empty((2, dimension))
    fill_normals(drawn.reshape(1, 1, -1), root_seed, zero, zero + FRAME_ITEM, Purpose.CONTEXT, 0)
    along = drawn[0] / np.linalg.norm(drawn[0])
    across = drawn[1] - (drawn[1] @ along) * along
    return np.stack([along, across / np.linalg.norm(across)])


def frame(world: ContextualWorld, root_seed: int, directions_2D: Floats | None = None) -> Frame:
    """Mean of the contexts, and base weights.

    Args:
        world: The world's settings.
        root_seed: First part of the key of every random number.
        directions_2D: Orthonormal directions of mu and of v; random ones by default. They matter to Adam
            only: along two axes it generalises worse (test Pass@1 .645 against .662 at p0 = .005).
    """
    along, across = random_directions(root_seed, world.dimension) if directions_2D is None else directions_2D
    mu_D = world.transfer * along
    return Frame(mu_D, world.alignment * mu_D + world.misalignment * across)


def test_set(world: ContextualWorld, common: Frame, root_seed: int) -> Contexts:
    """Held-out contexts, the same for every seed: (1, M, d)."""
    from scipy.special import ndtri

    items_M = TEST_ITEM + np.arange(world.test_items)
    zeros_M = np.zeros_like(items_M)
    u_MD = np.empty((len(items_M), world.dimension))
    fill_normals(u_MD[:, None], root_seed, zeros_M, items_M, Purpose.CONTEXT, 0, common.mu_D, world.noise)
    offset_M = np.zeros(len(items_M))
    if world.offset_spread > 0:
        level_M = _uniforms(root_seed, zeros_M, items_M, 1, 1, 2)[:, 0, 1]
        offset_M = world.offset_spread * np.asarray(ndtri(level_M))
    return Contexts(u_MD[None], offset_M[None])


def training_pool(
    world: ContextualWorld, common: Frame, root_seed: int, seeds: Sequence[int] | NDArray[np.int64]
) -> Contexts:
    """Training queries of each seed, given their base Pass@1: (R, N, d)."""
    from scipy.special import ndtri

    seeds_R = np.asarray(seeds, np.int64)
    zeros_R, N, d = np.zeros_like(seeds_R), world.train_items, world.dimension
    u_RND = aligned.zeros(len(seeds_R), N, d)
    fill_normals(u_RND, root_seed, seeds_R, zeros_R, Purpose.CONTEXT, 0, common.mu_D, world.noise)
    offset_RN = np.zeros((len(seeds_R), N))
    if world.base_pass_at_1 == "any" and world.offset_spread == 0:
        return Contexts(u_RND, offset_RN)
    extra_RN2 = _uniforms(root_seed, seeds_R, zeros_R, 1, N, 2)
    if world.offset_spread > 0:
        offset_RN = world.offset_spread * ndtri(extra_RN2[..., 1])
    if world.base_pass_at_1 == "any":
        return Contexts(u_RND, offset_RN)
    variance = world.noise**2 * float(common.w0_D @ common.w0_D) + world.offset_spread**2
    missing_RN = base_log_odds(world, common, extra_RN2[..., 0])
    missing_RN = missing_RN - (u_RND * common.w0_D).sum(axis=-1) - offset_RN
    u_RND += missing_RN[..., None] * (common.w0_D * (world.noise**2 / variance))
    return Contexts(u_RND, offset_RN + missing_RN * (world.offset_spread**2 / variance))


def base_log_odds(world: ContextualWorld, common: Frame, uniform: Floats) -> Floats:
    """Quantiles of the law of a training query's base log-odds: one value, or a truncated normal law.

    Args:
        world: The world's settings; `base_pass_at_1` "any" is the whole normal law.
        common: Mean and base weights.
        uniform: Levels in (0, 1), any shape.
    """
    if isinstance(world.base_pass_at_1, float):
        return np.full(uniform.shape, math.log(world.base_pass_at_1) - math.log1p(-world.base_pass_at_1))
    from scipy.special import logit

    low, high = (0.0, 1.0) if world.base_pass_at_1 == "any" else world.base_pass_at_1
    mean = float(common.mu_D @ common.w0_D)
    sd = math.sqrt(world.noise**2 * float(common.w0_D @ common.w0_D) + world.offset_spread**2)
    z = truncated_normal((logit(low) - mean) / sd, (logit(high) - mean) / sd, uniform)
    return np.asarray(mean + sd * z)


def truncated_normal(low: float, high: float, uniform: Floats) -> Floats:
    """Quantiles of a standard normal variable given that it lies in [low, high], accurate in both tails."""
    from scipy.special import log_ndtr, ndtri_exp

    if low > 0:
        return -truncated_normal(-high, -low, 1.0 - uniform)
    below, above = log_ndtr(low) + np.log1p(-uniform), log_ndtr(high) + np.log(uniform)
    quantiles: Floats = np.clip(ndtri_exp(np.logaddexp(below, above)), low, high)
    return quantiles
