"""What one round's update is like on average: where the closed forms of theory §3-§8 start."""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RoundMoments:
    """Moments of one round's multiplier u at any number of values of Pass@1, arrays of one shape (theory §3).

    Attributes:
        drift: E[u].
        variance: Var[u].
        third: E[(u - E u)^3].
        fourth: E[(u - E u)^4].
        correct_energy: E[sum over right rollouts of s^2]/(B G)^2.
        wrong_energy: The same over wrong rollouts.
        silent: P(every signal of a group is 0).
        active: P(some signal of the round is not 0), to full relative precision.
        push: (1-p) E[sum of s]/(B G), what the wrong class loses without signals of its own.
        push_second: (1-p)^2 E[(sum of s)^2]/(B G)^2.
        wrong_signals: Mean number of wrong rollouts of a round whose signal is not 0.
    """

    drift: Floats
    variance: Floats
    third: Floats
    fourth: Floats
    correct_energy: Floats
    wrong_energy: Floats
    silent: Floats
    active: Floats
    push: Floats
    push_second: Floats
    wrong_signals: Floats

    @property
    def idle(self) -> Floats:
        """P(every signal of the round is 0)."""
        return np.asarray(1.0 - self.active)

    @property
    def second(self) -> Floats:
        """E[u^2]."""
        return np.asarray(self.variance + self.drift**2)

    @property
    def square_noise(self) -> tuple[Floats, Floats]:
        """Cov(u, u^2) and Var(u^2)."""
        between = self.third + 2.0 * self.drift * self.variance
        own = self.fourth + 4.0 * self.drift * self.third + 4.0 * self.drift**2 * self.variance
        return np.asarray(between), np.asarray(np.maximum(own - self.variance**2, 0.0))


@dataclass(frozen=True)
class ClassMoments:
    """Moments of one round's update at Pass@1 = p, per unit of step size and gain (theory §3).

    Attributes:
        drift: E[u], mean multiplier.
        second: E[u^2].
        variance: Var[u].
        correct_energy: E[sum over right rollouts of s^2]/(B G)^2, what single right rollouts add to second
            moments of their own arms.
        wrong_energy: The same over wrong rollouts.
        zero_signal_fraction: Probability that every rollout of a group has signal 0: the group teaches
            nothing.
    """

    drift: float
    second: float
    variance: float
    correct_energy: float
    wrong_energy: float
    zero_signal_fraction: float

    @classmethod
    def at(cls, now: RoundMoments) -> "ClassMoments":
        """From moments at one value of Pass@1."""
        return cls(
            drift=float(now.drift),
            second=float(now.second),
            variance=float(now.variance),
            correct_energy=float(now.correct_energy),
            wrong_energy=float(now.wrong_energy),
            zero_signal_fraction=float(now.silent),
        )

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


class RoundLaw(Protocol):
    """The law of one round's update as a function of Pass@1."""

    def moments(self, log_odds: ArrayLike) -> RoundMoments:
        """Moments at p = sigmoid(log_odds), of the argument's shape."""

    def brief(self, log_odds: float) -> tuple[float, float, float, float]:
        """E[u], E[u^2] and the two energies at one value."""
