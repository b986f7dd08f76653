"""The law of one round from its counts of high rewards: exact finite sums (theory §3).

A group draws G fresh rollouts and M whose rewards only enter statistics. A right answer is given the high
reward with probability a, a wrong one with b (1 and 0 where rewards are honest), so the numbers of high
rewards are Binomial(G, q) and Binomial(M, q) with q = p a + (1-p) b. Given them the signals s1 of a high and
s0 of a low reward are known, and a high reward belongs to a right answer with probability p a/q: with
C1, C0 right answers among H high and G - H low rewards the group's multiplier is

    u = [s1 (C1 - p H) + s0 (C0 - p (G - H))] / G,

whose mean and variance given (H, O) are those of independent binomials. B copies of a query in a batch are B
independent groups, averaged. A KL penalty adds to the signal of each rollout the derivative of its estimator,
which is the same for all right answers and for all wrong ones while their arms are equal (theory §7).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, gammaln, log_expit, xlogy

from banditrft.theory.moments import Floats, RoundMoments

ROUNDING = 1e-28
"""Variance over second moment below which only rounding is left."""
SILENT = 1e-14
"""Signal over the largest signal below which only rounding is left."""
TAIL = 12.0
"""Standard deviations of a split beyond which its probability is below 1e-30."""
MOST_CELLS = 500_000
"""Numbers of one array at once."""
DEGENERATE = 1e-12
"""Squared length of a rule's second polynomial below which a split has two values at most."""

Pull = Callable[[Floats], tuple[Floats, Floats]]
"""Log-odds -> what a KL penalty adds to the signal of a right and of a wrong answer."""


@dataclass(frozen=True)
class GroupLaw:
    """Signals of a group in each of its states: H high rewards among the fresh, O among the others.

    Attributes:
        low_S: Signal of a low reward, (S,).
        high_S: Signal of a high reward, (S,).
        fresh_S: H, (S,).
        other_S: O, (S,).
        rollouts: G.
        others: M.
        chances: P(high | wrong) = b and P(high | right) = a.
        copies: Independent groups averaged into one update.
        merged: Groups of the design that this one stands for, where signals do not depend on the group.
        penalty: KL penalty per unit of Pass@1's log-odds; None is no penalty.
        split: For states that are nodes of a rule (:func:`split_rule`), log of their multiplicity and
            P(all fresh signals are 0 | state), both (S,); None where every state is a pair of counts.
    """

    low_S: Floats
    high_S: Floats
    fresh_S: Floats
    other_S: Floats
    rollouts: int
    others: int = 0
    chances: tuple[float, float] = (0.0, 1.0)
    copies: int = 1
    merged: int = 1
    penalty: Pull | None = None
    split: tuple[Floats, Floats] | None = None

    @classmethod
    def of_table(cls, table_S2: Floats, chances: tuple[float, float] = (0.0, 1.0)) -> "GroupLaw":
        """From signals by the number of high rewards (`banditrft.signals.table`), (G + 1, 2)."""
        highs_S = np.arange(len(table_S2), dtype=np.float64)
        return cls(
            table_S2[:, 0],
            table_S2[:, 1],
            highs_S,
            np.zeros_like(highs_S),
            len(table_S2) - 1,
            chances=chances,
        )

    def scaled(self, factor: float) -> "GroupLaw":
        """The same law with every signal multiplied."""
        return replace(self, low_S=self.low_S * factor, high_S=self.high_S * factor)

    @property
    def honest(self) -> bool:
        """Whether the reward is the grade."""
        return self.chances == (0.0, 1.0)

    @cached_property
    def _log_ways_S(self) -> Floats:
        if self.split is not None:
            return self.split[0]
        return log_choose(self.rollouts, self.fresh_S) + log_choose(self.others, self.other_S)

    @cached_property
    def _counts_2S(self) -> tuple[Floats, Floats]:
        """High and low rewards of the population in each state."""
        highs_S: Floats = self.fresh_S + self.other_S
        return highs_S, self.rollouts + self.others - highs_S

    @cached_property
    def silent_S(self) -> Floats:
        """P(every fresh rollout has signal 0 | state), (S,): 1 or 0 where a state is a pair of counts."""
        if self.split is not None:
            return self.split[1]
        mute_high_S, mute_low_S = mute(self.low_S, self.high_S)
        no_high_S = (self.fresh_S == 0) | mute_high_S
        no_low_S = (self.fresh_S == self.rollouts) | mute_low_S
        return np.asarray(no_high_S & no_low_S, dtype=np.float64)

    @cached_property
    def _sums_S(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Signals of high and of low rewards summed over G; their squares over G^2."""
        G, H = self.rollouts, self.fresh_S
        high_S, low_S = H * self.high_S / G, (G - H) * self.low_S / G
        return high_S, low_S, high_S * self.high_S / G, low_S * self.low_S / G

    def weights(self, log_odds: ArrayLike) -> Floats:
        """Probability of each state at p = sigmoid(log_odds), (..., S)."""
        x = np.asarray(log_odds, dtype=np.float64)[..., None]
        highs_S, lows_S = self._counts_2S
        if self.honest:
            logs = highs_S * log_expit(x) + lows_S * log_expit(-x)
        else:
            (b, a), p, q = self.chances, expit(x), expit(-x)
            logs = xlogy(highs_S, p * a + q * b) + xlogy(lows_S, p * (1.0 - a) + q * (1.0 - b))
        return np.asarray(np.exp(self._log_ways_S + logs), dtype=np.float64)

    def multiplier(self, log_odds: ArrayLike) -> Floats:
        """E[u | state] at p = sigmoid(log_odds), (..., S)."""
        return self.given_state(log_odds)[0]

    def given_state(self, log_odds: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
        """Given the state: mean and variance of u, squared signals of right and wrong answers over G^2.

        Each broadcasts against (..., S).
        """
        x = np.asarray(log_odds, dtype=np.float64)[..., None]
        p, q, (b, a) = expit(x), expit(-x), self.chances
        if self.honest and self.penalty is None:
            high_S, low_S, right_S, wrong_S = self._sums_S
            return high_S * q - low_S * p, np.zeros(1), right_S, wrong_S
        right, wrong = self.penalty(x) if self.penalty else (np.zeros(1), np.zeros(1))
        mean, variance, energy_right, energy_wrong = (np.zeros(1),) * 4
        G, H = self.rollouts, self.fresh_S
        for count_S, signal_S, says_right, says_wrong in (
            (H, self.high_S, a, b),
            (G - H, self.low_S, 1.0 - a, 1.0 - b),
        ):
            said = p * says_right + q * says_wrong
            share = np.divide(p * says_right, said, out=np.zeros_like(said), where=said > 0)
            rest = np.divide(q * says_wrong, said, out=np.zeros_like(said), where=said > 0)
            up, down = (signal_S + right) * q, (signal_S + wrong) * p
            mean = mean + count_S * (share * up - rest * down)
            variance = variance + count_S * share * rest * (up + down) ** 2
            energy_right = energy_right + count_S * share * (signal_S + right) ** 2
            energy_wrong = energy_wrong + count_S * rest * (signal_S + wrong) ** 2
        return mean / G, variance / G**2, energy_right / G**2, energy_wrong / G**2

    def _sums(self, log_odds: ArrayLike) -> tuple[Floats, Floats]:
        """Sum of all signals over G, and number of wrong rollouts with a signal, both given the state."""
        x = np.asarray(log_odds, dtype=np.float64)[..., None]
        p, q, (b, a) = expit(x), expit(-x), self.chances
        high_S, low_S, _, _ = self._sums_S
        total, wrong_count = high_S + low_S, np.zeros(1)
        right, wrong = self.penalty(x) if self.penalty else (np.zeros(1), np.zeros(1))
        for count_S, muted_S, says_right, says_wrong in zip(
            (self.fresh_S, self.rollouts - self.fresh_S),
            mute(self.low_S, self.high_S),
            (a, 1.0 - a),
            (b, 1.0 - b),
            strict=True,
        ):
            said = p * says_right + q * says_wrong
            rest = np.divide(q * says_wrong, said, out=np.zeros_like(said), where=said > 0)
            wrong_count = wrong_count + count_S * rest * (~muted_S if self.penalty is None else 1.0)
            total = total + count_S * ((1.0 - rest) * right + rest * wrong) / self.rollouts
        return total, wrong_count

    def moments(self, log_odds: ArrayLike) -> RoundMoments:
        """Moments of one round at p = sigmoid(log_odds), of its shape."""
        weight, B = self.weights(log_odds), self.copies
        mean, inner, right, wrong = self.given_state(log_odds)

        def expect(values: Floats) -> Floats:
            return np.asarray((weight * values).sum(axis=-1), dtype=np.float64)

        drift = expect(mean)
        away = mean - drift[..., None]
        square = away * away
        variance = expect(square + inner)
        variance = np.where(variance > ROUNDING * (variance + drift**2), variance, 0.0)
        fourth = expect(square * square + 6.0 * square * inner + 3.0 * inner * inner)
        # the complement is summed by itself: at a base of 1e-12 it would be lost in 1 - P(silent)
        teaches = np.minimum(expect(1.0 - self.silent_S), 1.0)
        total, wrong_count = self._sums(log_odds)
        stays = expit(-np.asarray(log_odds, dtype=np.float64))
        push, push_second = stays * expect(total), stays**2 * expect(total**2)
        with np.errstate(divide="ignore"):  # log 0 is a round that is never silent
            hushed = expect(self.silent_S)
            log_silent = np.where(hushed < 0.5, np.log(hushed), np.log1p(-teaches))
        return RoundMoments(
            drift=drift,
            variance=variance / B,
            third=expect(away * (square + 3.0 * inner)) / B**2,
            fourth=(fourth - 3.0 * variance**2) / B**3 + 3.0 * (variance / B) ** 2,
            correct_energy=expect(right) / B,
            wrong_energy=expect(wrong) / B,
            silent=np.exp(log_silent / self.merged),
            active=-np.expm1(log_silent * B),
            push=push,
            push_second=push_second / B + (1.0 - 1.0 / B) * push**2,
            wrong_signals=expect(wrong_count) * B,
        )

    def brief(self, log_odds: float) -> tuple[float, float, float, float]:
        """E[u], E[u^2] and the two energies at one value: what a recursion needs of :meth:`moments`."""
        if not (self.honest and self.penalty is None):
            now = self.moments(log_odds)
            return float(now.drift), float(now.second), float(now.correct_energy), float(now.wrong_energy)
        tail = math.exp(-abs(log_odds))
        near, far = -math.log1p(tail), -abs(log_odds) - math.log1p(tail)
        log_p, log_q = (near, far) if log_odds > 0 else (far, near)
        highs_S, lows_S = self._counts_2S
        weight_S = np.exp(self._log_ways_S + highs_S * log_p + lows_S * log_q)
        high_S, low_S, right_S, wrong_S = self._sums_S
        u_S = high_S * math.exp(log_q) - low_S * math.exp(log_p)
        drift, second, B = float(weight_S @ u_S), float(weight_S @ (u_S * u_S)), self.copies
        second = second / B + (1.0 - 1.0 / B) * drift**2
        return drift, second, float(weight_S @ right_S) / B, float(weight_S @ wrong_S) / B


def mute(low_S: Floats, high_S: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a high and whether a low reward's signal is 0 but for rounding, both (S,)."""
    least = SILENT * max(np.abs(low_S).max(), np.abs(high_S).max(), 1e-300)
    return np.abs(high_S) <= least, np.abs(low_S) <= least


def split_rule(fresh: int, others: int) -> tuple[Floats, Floats, Floats, Floats]:
    """How T high rewards of a population split: a 3-point Gauss rule of its fresh rollouts' share H.

    Given T = H + O, H is hypergeometric whatever Pass@1 is, and a multiplier is linear in H where signals
    depend on T alone. Three nodes are exact for polynomials up to degree 5, hence for four moments. With all
    pairs (H, O) a group of 512 with 512 others has 263,169 states, with nodes 3,075.

    Args:
        fresh: G, at least 1.
        others: M, at least 1.

    Returns:
        For T = 0..N, N = G + M: nodes and weights, both (N+1, 3); P(H = 0 | T) and P(H = G | T), both (N+1,).
    """
    N = fresh + others
    total_T = np.arange(N + 1)
    rows = max(MOST_CELLS // (2 * _reach(fresh, others) + 1), 1)
    parts = [_split_rows(fresh, others, total_T[start : start + rows]) for start in range(0, N + 1, rows)]
    node_T3, weight_T3, none_T, all_T = (np.concatenate(part) for part in zip(*parts, strict=True))
    return node_T3, weight_T3, none_T, all_T


def _reach(fresh: int, others: int) -> int:
    """Half the width of the window that holds all but 1e-30 of a split."""
    return math.ceil(TAIL * math.sqrt(fresh * others / (4.0 * (fresh + others - 1)))) + 2


def log_choose(n: ArrayLike, k: ArrayLike) -> Floats:
    """Log of n over k; -inf outside 0..n."""
    n_, k_ = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64))
    inside = (k_ >= 0) & (k_ <= n_)
    n_, k_ = np.where(inside, n_, 0.0), np.where(inside, k_, 0.0)
    return np.where(inside, gammaln(n_ + 1.0) - gammaln(k_ + 1.0) - gammaln(n_ - k_ + 1.0), -np.inf)


def _split_rows(fresh: int, others: int, total_T: NDArray[np.int64]) -> tuple[Floats, ...]:
    """:func:`split_rule` for some totals: Jacobi's matrix from the moments, its eigenvalues the nodes."""
    N = fresh + others

    def log_pmf(count: ArrayLike, total: ArrayLike) -> Floats:
        ways = log_choose(fresh, count) + log_choose(others, np.subtract(total, count))
        return ways - log_choose(N, total)

    mean_T, reach = total_T * (fresh / N), _reach(fresh, others)
    count_TW = np.rint(mean_T).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    pmf_TW = np.exp(log_pmf(count_TW, total_T[:, None]))
    away_TW = count_TW - mean_T[:, None]
    variance_T = (pmf_TW * away_TW**2).sum(axis=1)
    safe_T = np.where(variance_T > 0, variance_T, 1.0)
    tilt_T = (pmf_TW * away_TW**3).sum(axis=1) / safe_T
    second_TW = away_TW * (away_TW - tilt_T[:, None]) - variance_T[:, None]
    norm_T = (pmf_TW * second_TW**2).sum(axis=1)
    spans_T = norm_T > DEGENERATE * np.maximum(variance_T, 1.0) ** 2
    last_T = (pmf_TW * away_TW * second_TW**2).sum(axis=1) / np.where(spans_T, norm_T, 1.0)
    jacobi_T33 = np.zeros((len(total_T), 3, 3))
    jacobi_T33[:, 1, 1], jacobi_T33[:, 2, 2] = tilt_T, np.where(spans_T, last_T, 0.0)
    jacobi_T33[:, 0, 1] = jacobi_T33[:, 1, 0] = np.sqrt(variance_T)
    jacobi_T33[:, 1, 2] = jacobi_T33[:, 2, 1] = np.sqrt(np.where(spans_T, norm_T / safe_T, 0.0))
    away_T3, vectors_T33 = np.linalg.eigh(jacobi_T33)
    bottom_T, top_T = np.maximum(total_T - others, 0), np.minimum(total_T, fresh)
    node_T3 = np.clip(mean_T[:, None] + away_T3, bottom_T[:, None], top_T[:, None])
    return node_T3, vectors_T33[:, 0, :] ** 2, np.exp(log_pmf(0, total_T)), np.exp(log_pmf(fresh, total_T))
