"""What a learning signal does to Pass@1 in one update, seen from the class of correct arms (theory §3).

A group of G rollouts with S ~ Binomial(G, p) successes moves the policy along one direction, correct against
wrong, by the multiplier u(S) = [S s1(S) (1-p) - (G-S) s0(S) p] / G, where s1 and s0 are the signals of a
success and of a failure in that group; the raw signal's mean multiplier, its drift, is p(1-p). The signals
themselves come from :func:`banditrft.signals.table` and are never written down again here; expectations are
finite sums over S.
"""

import math
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.signals import table
from banditrft.theory import domain

SIGNALS = ("raw", "centered", "grpo", "rloo")
ROUNDING = 1e-28
"""Variance over second moment below which only rounding is left."""
REWARDS = ("zero-one", "minus-one-zero", "minus-one-one")


@dataclass(frozen=True)
class ClassMoments:
    """Moments of one round's update at Pass@1 = p, per unit of step size and gain (theory §3).

    Attributes:
        drift: E[u], mean multiplier.
        second: E[u^2].
        variance: Var[u].
        correct_energy: E[S s1^2]/G^2, what single correct rollouts add to second moments of their own arms.
        wrong_energy: E[(G-S) s0^2]/G^2, likewise of wrong rollouts.
        zero_signal_fraction: Probability that every rollout of the group has signal 0: the round teaches
            nothing.
    """

    drift: float
    second: float
    variance: float
    correct_energy: float
    wrong_energy: float
    zero_signal_fraction: float

    @property
    def snr(self) -> float:
        """Signal-to-noise of one update, drift^2 / variance; 0 without drift, infinite without noise."""
        if self.drift == 0.0:
            return 0.0
        return self.drift**2 / self.variance if self.variance > 0.0 else np.inf

    @property
    def noise_energy_ratio(self) -> float:
        """Per-arm noise energy over drift^2, many arms: E[sum s^2]/(G drift)^2; infinite without drift."""
        return (self.correct_energy + self.wrong_energy) / self.drift**2 if self.drift else np.inf

    def to_dict(self) -> dict[str, float]:
        """All moments and ratios by name."""
        return asdict(self) | {"snr": self.snr, "noise_energy_ratio": self.noise_energy_ratio}


@dataclass(frozen=True)
class GroupLaw:
    """A design's signal as a function of the group's success count; evaluates moments at any Pass@1 quickly.

    Attributes:
        failure_S: Signal of a failure in a group with S = 0..G successes, (G+1,).
        success_S: Signal of a success, (G+1,).
    """

    failure_S: NDArray[np.float64]
    success_S: NDArray[np.float64]

    @classmethod
    def of(cls, design: Design) -> "GroupLaw":
        """The law of a design's groups.

        Raises:
            InputError: The signal or the reward has no closed form (a signal over a batch, a baseline
                or replayed rewards, a graded, noisy or random reward).
        """
        require(design, "signal", SIGNALS)
        require(design, "reward", REWARDS)
        for field, value in (("baseline_rollouts", 0), ("replay_window", 0), ("match_step_size", False)):
            require(design, field, (value,))
        table_S2 = table(design)
        return cls(failure_S=table_S2[:, 0], success_S=table_S2[:, 1])

    @cached_property
    def _successes_S(self) -> NDArray[np.float64]:
        return np.arange(len(self.failure_S), dtype=np.float64)

    @cached_property
    def _log_ways_S(self) -> NDArray[np.float64]:
        s, G = self._successes_S, len(self.failure_S) - 1
        return np.asarray(gammaln(G + 1) - gammaln(s + 1) - gammaln(G - s + 1), dtype=np.float64)

    @cached_property
    def _pulls_2S(self) -> NDArray[np.float64]:
        """Mean signal over the group, of its successes and of its failures, (2, G+1)."""
        s, G = self._successes_S, len(self.failure_S) - 1
        return np.stack([s * self.success_S, (G - s) * self.failure_S]) / G

    @cached_property
    def _sums_S3(self) -> NDArray[np.float64]:
        """Squared signals of successes and of failures over G^2, and whether all signals are 0, (G+1, 3)."""
        s, G = self._successes_S, len(self.failure_S) - 1
        silent_S = ((s == 0) | (self.success_S == 0)) & ((s == G) | (self.failure_S == 0))
        energies = [s * self.success_S**2 / G**2, (G - s) * self.failure_S**2 / G**2]
        return np.stack([*energies, silent_S.astype(np.float64)], axis=1)

    def weights(self, log_odds: float) -> NDArray[np.float64]:
        """Binomial(G, p) probabilities of S = 0..G at p = sigmoid(log_odds), float64 (G+1,)."""
        s, G = self._successes_S, len(self.failure_S) - 1
        log_p, log_q = _log_sigmoid(log_odds), _log_sigmoid(-log_odds)
        return np.asarray(np.exp(self._log_ways_S + s * log_p + (G - s) * log_q), dtype=np.float64)

    def multiplier(self, log_odds: float) -> NDArray[np.float64]:
        """u(S) for S = 0..G at p = sigmoid(log_odds), float64 (G+1,)."""
        successes_S, failures_S = self._pulls_2S
        p, q = math.exp(_log_sigmoid(log_odds)), math.exp(_log_sigmoid(-log_odds))
        return np.asarray(successes_S * q - failures_S * p, dtype=np.float64)

    def moments(self, log_odds: float) -> ClassMoments:
        """Moments of one update at p = sigmoid(log_odds)."""
        weight_S, u_S = self.weights(log_odds), self.multiplier(log_odds)
        drift, second = float(weight_S @ u_S), float(weight_S @ (u_S * u_S))
        away_S = u_S - drift
        variance = float(weight_S @ (away_S * away_S))
        correct_energy, wrong_energy, silent = (weight_S @ self._sums_S3).tolist()
        return ClassMoments(
            drift=drift,
            second=second,
            variance=variance if variance > ROUNDING * second else 0.0,
            correct_energy=correct_energy,
            wrong_energy=wrong_energy,
            zero_signal_fraction=silent,
        )


def _log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def require(design: Design, field: str, allowed: tuple[object, ...]) -> None:
    """Refuse a design outside the closed forms' reach.

    Raises:
        InputError: ``field`` holds none of the allowed values.
    """
    value = getattr(design, field)
    if value not in allowed:
        known = " | ".join(map(repr, allowed))
        raise InputError(f"{field}: the closed forms cover {known}, got {value!r}")


def class_moments(design: Design, p: float) -> ClassMoments:
    """Moments of one round's update of a design at Pass@1 = p (theory §3).

    Args:
        design: Gives rollouts, signal (raw, centered, grpo with ddof and eps, rloo) and reward map.
        p: Pass@1, in (0, 1).

    Raises:
        InputError: ``p`` is outside (0, 1), or the design has no closed form.
    """
    return GroupLaw.of(design).moments(domain.log_odds(domain.open_unit("p", p)))


def ratio_to_raw(design: Design, p: float) -> float:
    """Drift of a design's signal over the raw {0,1} drift p(1-p): its relative step size (theory §3)."""
    return class_moments(design, p).drift / (p * (1.0 - p))
