"""Mean field of the contextual world with a pool of training queries (theory §8).

One round draws B of the pool's N queries, G rollouts each. Query i's log-odds l_i = u_i.w + b_i give its
multiplier's mean m_i and variance v_i (theory §3), hence per coordinate j, exactly for a given w,

    E[g_j] = (1/N) sum_i m_i u_ij,
    Var[g_j] = (1/B) (1/N) sum_i v_i u_ij^2 + (1/B) (N-B)/(N-1) Var_i(m_i u_ij),

the second part being the choice of queries. These feed SGD's or Adam's step (theory §4). The test set needs
no sampling: its log-odds at weights w are normal, with mean mu.w and variance sigma^2 |w|^2 + s^2. Answers'
own features (``arm_noise`` = tau) add tau^2 E[sum s^2]/(B G)^2 to every coordinate's variance; it makes the
weights wander where nothing pulls them back, which the test set feels: that variance is carried along. Other
fluctuations of w are left out.

A pool's queries overlap in d dimensions and no low-dimensional closed form is known to us, so the recursion
runs on a few pools whose contexts come from fixed numbers, the same for every design: deterministic, an
average over that many pools.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.laws import SIGNALS, require
from banditrft.theory.moments import Floats
from banditrft.theory.pool_walk import PoolWalk
from banditrft.theory.pools import Pools
from banditrft.worlds import ContextualWorld

MAX_ROUNDS = 2_000
MOST_WANDER = 1.0
"""Largest arm noise under SGD, whose wandering weights would change what is learned."""


def base_pool(world: ContextualWorld) -> list[float]:
    """Base Pass@1 of the queries of one pool.

    Raises:
        InputError: As :meth:`Pools.of`.
    """
    pools = Pools.of(world)
    x_N = np.einsum("nd,d->n", pools.u_PND[0], pools.w0_PD[0]) + pools.offset_PN[0]
    return [float(p) for p in expit(x_N)]


@dataclass(frozen=True)
class PoolField:
    """Averages over pools.

    Attributes:
        train_T: Pass@1 of the pool after t = 0..T rounds, (T+1,).
        test_T: Pass@1 of the test set, (T+1,).
        silent: P(a group carries no signal) at the base.
        drift: Mean multiplier at the base.
        snr: |E g|^2 over E|g - E g|^2 at the base.
    """

    train_T: Floats
    test_T: Floats
    silent: float
    drift: float
    snr: float

    def rounds_to(self, target: float) -> int | None:
        """First whole round at which the pool's Pass@1 is at least ``target``; None if it is never."""
        reached_T = self.train_T >= domain.open_unit("target", target)
        return int(np.argmax(reached_T)) if reached_T.any() else None


def check_pool(design: Design, world: ContextualWorld) -> None:
    """Refuse what the pool's mean field leaves out.

    Raises:
        InputError: Names the field.
    """
    require(design, "signal", SIGNALS)
    require(design, "kl_coef", (0.0,))
    require(design, "match_step_size", (False,))
    if design.optimizer == "sgd" and world.arm_noise > MOST_WANDER:
        raise InputError(
            f"arm_noise: under 'sgd' the closed forms cover up to {MOST_WANDER:g}, got {world.arm_noise!r}"
        )


def pool_field(
    design: Design,
    world: ContextualWorld,
    *,
    rounds: int = 0,
    target: float | None = None,
    max_rounds: int = MAX_ROUNDS,
) -> PoolField:
    """Run the recursion for ``rounds`` rounds, and on until the pool's mean Pass@1 is at ``target``.

    Args:
        design: raw, centered, grpo or rloo; honest or noisy rewards; sgd, adam or adamw.
        world: The contextual world, any pool.
        rounds: Rounds to run in any case, at most ``max_rounds``.
        target: Mean Pass@1 of the pool to run on for, in (0, 1).
        max_rounds: Most rounds.

    Raises:
        InputError: The design or the world is not covered.
    """
    check_pool(design, world)
    end = -math.inf if target is None else domain.open_unit("target", target)
    walk = PoolWalk(design, world, Pools.of(world))
    silent, drift, snr = walk.at_base()
    train, test = [walk.train()], [walk.test()]
    while len(train) <= min(rounds, max_rounds) or (train[-1] < end and len(train) <= max_rounds):
        walk.round(len(train))
        train.append(walk.train())
        test.append(walk.test())
    return PoolField(np.array(train), np.array(test), silent, drift, snr)
