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
from typing import Self

import numpy as np
from scipy.special import expit, ndtr, ndtri

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.theory.coordinates import advance, decay
from banditrft.theory.generalisation import expected_sigmoid
from banditrft.theory.laws import SIGNALS, require, round_law
from banditrft.theory.moments import Floats, RoundLaw
from banditrft.worlds import ContextualWorld

QUERIES, FEWEST, MOST = 256, 2, 64
"""Queries that all pools hold together, about, and bounds on the number of pools."""
MAX_CELLS = 2_000_000
"""Most queries x dimensions of all pools together."""


@dataclass(frozen=True)
class Pools:
    """Contexts of P pools, each with directions of its own.

    Attributes:
        u_PND: Contexts.
        offset_PN: Log-odds that no weight changes.
        w0_PD: Base weights.
        mean_PD: mu.
    """

    u_PND: Floats
    offset_PN: Floats
    w0_PD: Floats
    mean_PD: Floats

    @classmethod
    def of(cls, world: ContextualWorld) -> "Pools":
        """Draw from fixed numbers, given the base log-odds that the world asks for.

        Raises:
            InputError: The pools are too large, or come from a file.
        """
        if world.features is not None:
            raise InputError(f"features: the closed forms draw contexts of their own, got {world.features!r}")
        if world.draw is not None:
            raise InputError(f"draw: the closed forms average over draws, got {world.draw}")
        N, d = world.train_items, world.dimension
        P = min(max(QUERIES // N, FEWEST), MOST)
        if P * N * d > MAX_CELLS:
            raise InputError(
                f"train_items: times dimension must be at most {MAX_CELLS // FEWEST} here, got {N} x {d}"
            )
        rng = np.random.Generator(np.random.Philox(key=20_260))
        frame_PD2 = np.linalg.qr(rng.standard_normal((P, d, 2)))[0]
        mean_PD = world.transfer * frame_PD2[..., 0]
        w0_PD = world.alignment * mean_PD + world.misalignment * frame_PD2[..., 1]
        u_PND = mean_PD[:, None, :] + world.noise * rng.standard_normal((P, N, d))
        offset_PN = world.offset_spread * rng.standard_normal((P, N))
        start_PN = np.einsum("pnd,pd->pn", u_PND, w0_PD) + offset_PN
        norm_sq = (world.alignment * world.transfer) ** 2 + world.misalignment**2
        spread_sq = world.noise**2 * norm_sq + world.offset_spread**2
        centre, sd = world.alignment * world.transfer**2, math.sqrt(spread_sq)
        # all queries together take every quantile of the base's law once, in the order in which they came
        place_PN = np.argsort(np.argsort(start_PN, axis=None)).reshape(start_PN.shape)
        wanted_PN = _base(world, centre, sd, (place_PN + 0.5) / start_PN.size)
        missing_PN = (wanted_PN - start_PN) / spread_sq if spread_sq > 0 else np.zeros_like(start_PN)
        return cls(
            u_PND + world.noise**2 * missing_PN[..., None] * w0_PD[:, None, :],
            offset_PN + world.offset_spread**2 * missing_PN,
            w0_PD,
            mean_PD,
        )


def _base(world: ContextualWorld, centre: float, sd: float, rank_PN: Floats) -> Floats:
    """Base log-odds of each query by its rank: a normal law, that law truncated to a range, or one value."""
    base = world.base_pass_at_1
    if isinstance(base, float):
        return np.full_like(rank_PN, domain.log_odds(base))
    if isinstance(base, str):
        return np.asarray(centre + sd * ndtri(rank_PN))
    ends = [-math.inf if p == 0 else math.inf if p == 1 else domain.log_odds(p) for p in base]
    low, high = ((end - centre) / sd for end in ends)
    # in the upper tail through its mirror image, where small probabilities keep their digits
    mirror = -1.0 if low > 0 else 1.0
    edges = sorted((ndtr(mirror * low), ndtr(mirror * high)))
    share_PN = rank_PN if mirror > 0 else 1.0 - rank_PN
    found_PN = centre + sd * mirror * ndtri(edges[0] + share_PN * (edges[1] - edges[0]))
    if not np.isfinite(found_PN).all():
        raise InputError(f"base_pass_at_1: next to no query of this world lies in {list(base)}")
    return np.asarray(found_PN)


WIDEST, POINTS, BLOCKS = 25.0, 5001, 50
"""Log-odds up to which moments are tabulated, at how many points, in how many blocks of them."""


@dataclass(frozen=True)
class MomentTable:
    """Moments of a law over log-odds, read off linearly between points .01 apart (relative error 1e-4).

    Attributes:
        grid: Log-odds.
        drift: E[u] there.
        variance: Var[u].
        energy: Both energies together.
        silent: P(a group carries no signal).
    """

    grid: Floats
    drift: Floats
    variance: Floats
    energy: Floats
    silent: Floats

    @classmethod
    def of(cls, law: RoundLaw) -> Self:
        """Tabulate a law."""
        grid = np.linspace(-WIDEST, WIDEST, POINTS)
        parts = [law.moments(rows) for rows in np.array_split(grid, BLOCKS)]
        return cls(
            grid,
            np.concatenate([part.drift for part in parts]),
            np.concatenate([part.variance for part in parts]),
            np.concatenate([part.correct_energy + part.wrong_energy for part in parts]),
            np.concatenate([part.silent for part in parts]),
        )

    def at(self, log_odds: Floats, values: Floats) -> Floats:
        """One of the moments at any log-odds, of their shape."""
        return np.asarray(np.interp(log_odds, self.grid, values))


class PoolWalk:
    """State on P pools: mean weights, Adam's moments, variance of wandering weights, all (P, D).

    Args:
        design: The design; its batch is of B distinct queries.
        world: The contextual world.
        pools: Its pools.
    """

    def __init__(self, design: Design, world: ContextualWorld, pools: Pools) -> None:
        self.design, self.world, self.pools = design, world, pools
        self.table = MomentTable.of(round_law(design.model_copy(update={"batch_size": 1})))
        self.square_PND = pools.u_PND**2
        self.w_PD = pools.w0_PD.copy()
        self.first_PD, self.second_PD, self.wander_PD = np.zeros((3, *self.w_PD.shape))

    def log_odds(self) -> Floats:
        """Log-odds of every training query, (P, N)."""
        return np.asarray((self.pools.u_PND @ self.w_PD[..., None])[..., 0] + self.pools.offset_PN)

    def train(self) -> float:
        """Mean Pass@1 of the pools."""
        return float(expit(self.log_odds()).mean())

    def test(self) -> float:
        """Mean Pass@1 of new contexts, the wandering of the weights included."""
        mean_PD, noise_sq = self.pools.mean_PD, self.world.noise**2
        variance_P = noise_sq * (self.w_PD**2).sum(axis=1) + self.world.offset_spread**2
        variance_P += (self.wander_PD * (noise_sq + mean_PD**2)).sum(axis=1)
        return float(expected_sigmoid((mean_PD * self.w_PD).sum(axis=1), variance_P).mean())

    def at_base(self) -> tuple[float, float, float]:
        """Silent fraction, mean drift and signal-to-noise |E g|^2 / E|g - E g|^2 where the walk stands."""
        x_PN = self.log_odds()
        mean_PD, noise_PD, arms_P1 = self._gradient(x_PN)
        noise = float((noise_PD + arms_P1).sum())
        snr = float((mean_PD**2).sum()) / noise if noise > 0.0 else math.inf
        silent, drift = (
            float(self.table.at(x_PN, values).mean()) for values in (self.table.silent, self.table.drift)
        )
        return silent, drift, snr

    def round(self, t: int) -> None:
        """Take round ``t``, counted from 1."""
        design = self.design
        mean_PD, noise_PD, arms_P1 = self._gradient(self.log_odds())
        square_PD = mean_PD**2 + noise_PD + arms_P1
        step = advance(design, mean_PD, square_PD, self.first_PD, self.second_PD, t)
        self.first_PD, self.second_PD = step.first_C, step.second_C
        keep, eta = 1.0 - decay(design), design.learning_rate
        self.w_PD = keep * self.w_PD + eta * step.step_C
        # how far a unit of gradient noise moves a weight in the end: Adam spends it over several rounds
        reach = eta if design.optimizer == "sgd" else eta * step.by_first_C * (1.0 - design.betas[0] ** t)
        self.wander_PD = keep**2 * self.wander_PD + reach**2 * arms_P1

    def _gradient(self, x_PN: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean and variance of the gradient, (P, D), and the variance by arms of their own, (P, 1)."""
        table, B, N = self.table, self.design.batch_size, x_PN.shape[1]
        drift_PN, variance_PN = table.at(x_PN, table.drift), table.at(x_PN, table.variance)
        left = (N - B) / (N - 1) if max(B, 1) < N else 0.0
        mean_PD = (drift_PN[:, None, :] @ self.pools.u_PND)[:, 0] / N
        weight_PN = variance_PN + left * drift_PN**2
        spread_PD = (weight_PN[:, None, :] @ self.square_PND)[:, 0] / N - left * mean_PD**2
        arms_P1 = self.world.arm_noise**2 * table.at(x_PN, table.energy).mean(axis=1)[:, None] / B
        return mean_PD, np.maximum(spread_PD, 0.0) / B, arms_P1


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
