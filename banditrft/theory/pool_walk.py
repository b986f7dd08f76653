"""The recursion of a pool's mean field: weights, Adam's moments and what wanders (theory §8)."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit

from banditrft.design import Design
from banditrft.theory.contexts import expected_sigmoid
from banditrft.theory.coordinates import advance, decay
from banditrft.theory.laws import round_law
from banditrft.theory.moments import Floats, RoundLaw
from banditrft.theory.pools import Pools
from banditrft.worlds import ContextualWorld

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
