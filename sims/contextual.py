"""The log-linear contextual world: one training query, a held-out set of contexts (theory §6).

A context u in R^d has log-odds l(u) = u.w of a correct answer; contexts are N(mu, sigma^2 I), base weights
w0 = c mu + v with v orthogonal to mu. Adam depends on the basis, so mu and v are given random directions, an
orthonormal pair drawn once per root seed; so is the test set. The training query differs from seed to seed:
a context drawn from N(mu, sigma^2 I) *given* u.w0 = logit(base Pass@1), exactly.

A rollout's gradient is s_i (1[correct] - p) u0. Nothing here has arms: answers are correct or wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import ContextualWorld
from sims.contextual_kernel import Weights, held_out, run_replicates
from sims.learner import Learner

Floats = NDArray[np.float64]
FRAME_ITEM, TEST_ITEM = 1, 2
"""Items of the CONTEXT stream of seed 0 that hold the directions, and the first test context."""


@dataclass(frozen=True)
class Contexts:
    """The drawn world.

    Attributes:
        mu_D: Mean of the contexts.
        w0_D: Base weights.
        train_RD: Training query of each seed.
        test_ND: Held-out contexts.
    """

    mu_D: Floats
    w0_D: Floats
    train_RD: Floats
    test_ND: Floats


@dataclass(frozen=True)
class ContextualPaths:
    """What R replicates did.

    Attributes:
        p_RE: Exact Pass@1 of the training query after each evaluation round.
        high_RT: Number of high rewards the learner saw in each round.
        correct_RT: Number of correct answers in each round.
        w_RFD: Weights after each kept round.
    """

    p_RE: Floats
    high_RT: NDArray[np.int32]
    correct_RT: NDArray[np.int32]
    w_RFD: Floats


def _normals(root_seed: int, seeds: NDArray[np.int64], items: NDArray[np.int64], count: int) -> Floats:
    """Standard normal numbers (S, count), one row per seed and item."""
    from scipy.special import ndtri

    u_SGT = uniforms(root_seed, seeds, items, Purpose.CONTEXT, 0, 1, count)
    normals: Floats = ndtri(u_SGT[:, 0, :] + 2.0**-54)
    return normals


def random_directions(root_seed: int, dimension: int) -> Floats:
    """A random orthonormal pair (2, d), the same for every seed of a root seed."""
    zero = np.zeros(1, np.int64)
    frame = _normals(root_seed, zero, zero + FRAME_ITEM, 2 * dimension).reshape(2, dimension)
    along = frame[0] / np.linalg.norm(frame[0])
    across = frame[1] - (frame[1] @ along) * along
    return np.stack([along, across / np.linalg.norm(across)])


def draw(
    world: ContextualWorld,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    directions_2D: Floats | None = None,
) -> Contexts:
    """Draw training queries and test contexts.

    Args:
        world: The world's settings.
        root_seed: First part of the key of every random number.
        seeds: One training query each.
        directions_2D: Orthonormal directions of mu and of v; random ones by default. They matter to Adam
            only: along two axes it generalises worse (test Pass@1 .645 against .662 at p0 = .005).
    """
    d, sigma = world.dimension, world.noise
    along, across = random_directions(root_seed, d) if directions_2D is None else directions_2D
    mu_D = world.transfer * along
    w0_D = world.alignment * mu_D + world.misalignment * across
    norm_sq = float(w0_D @ w0_D)
    if norm_sq == 0.0:
        raise InputError("alignment, misalignment: base weights of zero give every query Pass@1 = 0.5")
    items_N = TEST_ITEM + np.arange(world.test_items)
    test_ND = mu_D + sigma * _normals(root_seed, np.zeros_like(items_N), items_N, d)
    seeds_R = np.asarray(seeds, np.int64)
    train_RD = mu_D + sigma * _normals(root_seed, seeds_R, np.zeros_like(seeds_R), d)
    wanted = math.log(world.base_pass_at_1) - math.log1p(-world.base_pass_at_1)
    excess_R = wanted - (train_RD * w0_D).sum(axis=1)
    train_RD += excess_R[:, None] * (w0_D / norm_sq)
    return Contexts(mu_D, w0_D, train_RD, test_ND)


def simulate(
    contexts: Contexts,
    learner: Learner,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    rounds: int,
    eval_rounds: Sequence[int] | NDArray[np.int64] = (),
    keep_rounds: Sequence[int] | NDArray[np.int64] = (),
) -> ContextualPaths:
    """Train one replicate per seed on one core.

    Args:
        contexts: The drawn world; one training query per seed.
        learner: Signals, optimiser, step.
        root_seed: First part of the key of every random number.
        seeds: One per replicate; a replicate depends on its own seed alone.
        rounds: Rounds T, at least 0.
        eval_rounds: Rising rounds in 0..T after which the training query's p is recorded.
        keep_rounds: Rising rounds in 0..T after which weights are kept.

    Raises:
        InputError: An argument is outside its range.
    """
    seeds_R = np.asarray(seeds, np.int64)
    eval_E, keep_F = np.asarray(eval_rounds, np.int64), np.asarray(keep_rounds, np.int64)
    if not 0 <= rounds < 2**31 or root_seed < 0 or (seeds_R < 0).any():
        raise InputError(f"rounds, root_seed, seeds: must be at least 0, got rounds = {rounds}")
    if len(seeds_R) != len(contexts.train_RD):
        raise InputError(
            f"seeds: must be as many as training queries, {len(contexts.train_RD)}, got {len(seeds_R)}"
        )
    for name, grid in (("eval_rounds", eval_E), ("keep_rounds", keep_F)):
        if len(grid) and (grid[0] < 0 or grid[-1] > rounds or (np.diff(grid) <= 0).any()):
            raise InputError(f"{name}: must rise strictly within 0..{rounds}, got {grid.tolist()}")
    R, D, G = len(seeds_R), len(contexts.w0_D), learner.G
    paths = ContextualPaths(
        p_RE=np.empty((R, len(eval_E))),
        high_RT=np.empty((R, rounds), np.int32),
        correct_RT=np.empty((R, rounds), np.int32),
        w_RFD=np.empty((R, len(keep_F), D)),
    )
    run_replicates(
        root_seed,
        seeds_R,
        rounds,
        Weights(np.zeros(D), np.zeros(D), np.zeros(D)),
        np.zeros(G, np.int64),
        np.zeros(G, np.int64),
        contexts.train_RD,
        contexts.w0_D,
        learner.signals_S2(),
        learner.learning_rate,
        learner.adam,
        learner.betas_eps,
        learner.decay,
        learner.grad_clip or 0.0,
        *learner.heard,
        eval_E,
        keep_F,
        paths.high_RT,
        paths.correct_RT,
        paths.p_RE,
        paths.w_RFD,
    )
    return paths


def held_out_pass_at_1(
    contexts: Contexts,
    w_RFD: Floats,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    rounds: Sequence[int] | NDArray[np.int64],
    purpose: Purpose,
    samples: int,
) -> tuple[Floats, NDArray[np.int64]]:
    """Evaluate weights on the test set.

    Args:
        contexts: The drawn world.
        w_RFD: Weights of each seed after each of ``rounds``.
        root_seed: First part of the key of the evaluation's random numbers.
        seeds: Seed of each replicate.
        rounds: Round of each evaluation, part of the numbers' address.
        purpose: EVAL_TEST or FINAL_TEST.
        samples: Answers drawn per test context.

    Returns:
        Exact mean Pass@1 (R, F), and the number of correct answers out of N x samples (R, F).
    """
    p_RF, correct_RF = np.empty(w_RFD.shape[:2]), np.empty(w_RFD.shape[:2], np.int64)
    held_out(
        root_seed,
        np.asarray(seeds, np.int64),
        np.asarray(rounds, np.int64),
        int(purpose),
        samples,
        w_RFD,
        contexts.test_ND,
        p_RF,
        correct_RF,
    )
    return p_RF, correct_RF
