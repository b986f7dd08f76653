"""The law of a round whose signal looks at all B copies of a query at once (theory §3, `gpg`).

A rollout's signal depends on its own group's H high rewards and on the S of the whole batch. First moments
need the law of (H, S), second moments that of two groups and S, both products of binomials. Exact for mean
and variance; the third and fourth moments, which only the spread of Adam's second moment uses, are those of a
normal variable.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import reward_map
from banditrft.signals import signal
from banditrft.theory.groups import GroupLaw
from banditrft.theory.moments import Floats, RoundMoments

MAX_CELLS = 20_000_000


@dataclass(frozen=True)
class BatchLaw:
    """Signals by a group's and the batch's numbers of high rewards.

    Attributes:
        low_HS: Signal of a low reward in a group of H high ones, S in the batch, (G + 1, B G + 1).
        high_HS: Signal of a high reward, likewise.
        chances: P(high | wrong) and P(high | right).
        copies: B, at least 2.
    """

    low_HS: Floats
    high_HS: Floats
    chances: tuple[float, float]
    copies: int

    @classmethod
    def of(cls, design: Design, chances: tuple[float, float]) -> "BatchLaw":
        """From `banditrft.signals.signal` on every pair of counts.

        Raises:
            InputError: The batch is too large for a table.
        """
        B, G = design.batch_size, design.rollouts
        if (G + 1) * (B * G + 1) * max(B * G, G + 1) > MAX_CELLS:
            raise InputError(
                f"batch_size: '{design.signal}' over a batch has closed forms up to about 32 x 16 rollouts, "
                f"got {B} x {G}"
            )
        low, high = reward_map(design)[:2]
        H, S = np.meshgrid(np.arange(G + 1), np.arange(B * G + 1), indexing="ij")
        elsewhere = np.clip(S - H, 0, (B - 1) * G)
        highs = np.concatenate(
            [
                np.arange(G) < H[..., None],
                np.arange((B - 1) * G) < elsewhere[..., None],
            ],
            axis=-1,
        )
        rewards = np.where(highs, high, low).astype(np.float64).reshape(*H.shape, B, G)
        own_HSG = signal(design, rewards)[:, :, 0, :]
        possible = (S >= H) & (S - H <= (B - 1) * G)
        return cls(
            low_HS=np.where(possible & (H < G), own_HSG[..., -1], 0.0),
            high_HS=np.where(possible & (H > 0), own_HSG[..., 0], 0.0),
            chances=chances,
            copies=B,
        )

    def scaled(self, factor: float) -> "BatchLaw":
        """The same law with every signal multiplied."""
        return replace(self, low_HS=self.low_HS * factor, high_HS=self.high_HS * factor)

    def moments(self, log_odds: ArrayLike) -> RoundMoments:
        """Moments of one round at p = sigmoid(log_odds), of its shape."""
        x = np.asarray(log_odds, dtype=np.float64)
        rows = [self._at(float(value)) for value in x.ravel()]
        return RoundMoments(*(np.array(column).reshape(x.shape) for column in zip(*rows, strict=True)))

    def brief(self, log_odds: float) -> tuple[float, float, float, float]:
        """E[u], E[u^2] and the two energies at one value."""
        now = self.moments(log_odds)
        return float(now.drift), float(now.second), float(now.correct_energy), float(now.wrong_energy)

    def _at(self, log_odds: float) -> tuple[float, ...]:
        B, G = self.copies, len(self.low_HS) - 1
        b, a = self.chances
        rate = float(expit(log_odds)) * a + float(expit(-log_odds)) * b
        H, S = np.arange(G + 1), np.arange(B * G + 1)
        own_H = _binomial(G, rate)
        joint_HS = own_H[:, None] * _count_law(S - H[:, None], (B - 1) * G, rate)
        shape = joint_HS.shape
        group = GroupLaw(
            self.low_HS.ravel(),
            self.high_HS.ravel(),
            np.broadcast_to(H[:, None], shape).ravel().astype(np.float64),
            np.zeros(joint_HS.size),
            G,
            chances=self.chances,
        )
        mean_HS, inner_HS, right_HS, wrong_HS = (
            np.broadcast_to(part, (joint_HS.size,)).reshape(shape) for part in group.given_state(log_odds)
        )
        drift = float((joint_HS * mean_HS).sum())
        pull_HS = own_H[:, None] * mean_HS
        rest_HHS = _count_law(S - H[:, None, None] - H[:, None], (B - 2) * G, rate)
        pairs = float(np.einsum("hs,ks,hks->", pull_HS, pull_HS, rest_HHS))
        own = float((joint_HS * (mean_HS**2 + inner_HS)).sum())
        variance = max(own / B + (1.0 - 1.0 / B) * pairs - drift**2, 0.0)
        silent_HS = group.silent_S.reshape(shape)
        # under gpg whether a group is silent does not depend on the other groups
        speaks = min(float(own_H @ ~silent_HS.astype(np.bool_).all(axis=1)), 1.0)
        active = -math.expm1(B * math.log1p(-speaks)) if speaks < 1.0 else 1.0
        return (
            drift,
            variance,
            0.0,
            3.0 * variance**2,
            float((joint_HS * right_HS).sum()) / B,
            float((joint_HS * wrong_HS).sum()) / B,
            float((joint_HS * silent_HS).sum()),
            active,
            0.0,  # under gpg the signals of a batch sum to 0
            0.0,
            0.0,
        )


def _count_law(counts: NDArray[np.int64], size: int, rate: float) -> Floats:
    """Binomial(size, rate) probabilities of an array of counts, 0 outside 0..size."""
    law = _binomial(size, rate)
    inside = (counts >= 0) & (counts <= size)
    return np.where(inside, law[np.clip(counts, 0, size)], 0.0)


def _binomial(size: int, rate: float) -> Floats:
    """Probabilities of the counts 0..size."""
    from scipy.stats import binom  # slow to import, and few designs need it

    return np.asarray(binom.pmf(np.arange(size + 1), size, rate), dtype=np.float64)
