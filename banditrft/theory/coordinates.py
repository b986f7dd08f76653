"""From a round's multiplier to the gradients of single parameters, and through the optimiser (theory §4).

A parameter's mean gradient is size x E[u]. Its second moment is size^2 E[u^2] plus, for a tabular arm of a
class of n, the noise of which arm was drawn, (1/n)(1 - 1/n) E[N s^2]/(B G)^2.

Adam looks at each arm alone, and of many wrong arms most have never had a signal of their own: they feel only
what the softmax takes from all, the push -(1-p)/n sum(s)/(B G), and take full steps along it. Where signals
do not sum to 0 such an arm is a coordinate of its own (``quiet``).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from banditrft.design import Design
from banditrft.theory import domain
from banditrft.theory.moments import Floats, RoundLaw, RoundMoments


@dataclass(frozen=True)
class Coordinates:
    """C parameters that one multiplier drives.

    Attributes:
        law: The design's rounds.
        size_C: Mean gradient per unit of drift, (C,).
        right_C: Weight of right rollouts' energy in the second moment, (C,).
        wrong_C: Weight of wrong rollouts' energy, (C,).
        slope_C: d(log-odds)/d(parameter), (C,).
        rest: Log-odds at parameters of 0, towards which weight decay pulls.
        quiet: 1/n where the last parameter is a wrong arm without signals of its own; 0 if there is none.
    """

    law: RoundLaw
    size_C: Floats
    right_C: Floats
    wrong_C: Floats
    slope_C: Floats
    rest: float = 0.0
    quiet: float = 0.0

    @classmethod
    def arms(
        cls, law: RoundLaw, num_correct: int, num_arms: int, shared: float = 0.0, *, quiet: bool = False
    ) -> "Coordinates":
        """One correct and one wrong tabular arm, and with ``shared`` > 0 one parameter of each class.

        Args:
            law: The design's rounds.
            num_correct: m, at least 1.
            num_arms: K, above m.
            shared: kappa >= 0: an arm's logit is theta + kappa phi, phi a parameter of its class.
            quiet: Whether wrong arms without a signal of their own are told apart.

        Raises:
            InputError: There is no correct or no wrong arm.
        """
        m, wrong = domain.arms(num_arms, num_correct)
        own_C, which = np.array([1.0 / m, 1.0 / wrong]), np.eye(2)
        size_C, slope_C, energy_C = own_C * [1.0, -1.0], np.array([1.0, -1.0]), own_C * (1.0 - own_C)
        if shared > 0.0:
            size_C = np.append(size_C, [shared, -shared])
            slope_C = np.append(slope_C, [shared, -shared])
            energy_C, which = np.append(energy_C, [0.0, 0.0]), np.tile(which, 2)
        right_C, wrong_C = energy_C * which[0], energy_C * which[1]
        rest = math.log(m) - math.log(wrong)
        if not quiet:
            return cls(law, size_C, right_C, wrong_C, slope_C, rest)
        size_C = np.append(size_C, -own_C[1])
        right_C, wrong_C, slope_C = (np.append(part, 0.0) for part in (right_C, wrong_C, slope_C))
        return cls(law, size_C, right_C, wrong_C, slope_C, rest, 1.0 / wrong)

    @classmethod
    def features(cls, law: RoundLaw, features_C: Floats, slope_C: Floats | None = None) -> "Coordinates":
        """Shared weights: coordinate i gets features_i times the multiplier (theory §6)."""
        none_C = np.zeros_like(features_C)
        return cls(law, features_C, none_C, none_C, features_C if slope_C is None else slope_C)

    def gain(self) -> float:
        """Log-odds per unit of SGD's step and of multiplier."""
        return float(self.slope_C @ self.size_C)

    def of(self, now: RoundMoments) -> tuple[Floats, Floats]:
        """Mean and second moment of each gradient, (..., C), from the round's moments."""
        energy = now.correct_energy[..., None] * self.right_C + now.wrong_energy[..., None] * self.wrong_C
        mean, square = now.drift[..., None] * self.size_C, now.second[..., None] * self.size_C**2 + energy
        if self.quiet:
            mean[..., -1], square[..., -1] = -self.quiet * now.push, self.quiet**2 * now.push_second
        return mean, square

    def noise(self, now: RoundMoments) -> Floats:
        """Change of each gradient per unit of the multiplier's noise, (..., C).

        A push is carried by the same answers as the multiplier: one noise, in each its own size.
        """
        if not self.quiet:
            return self.size_C
        spread = np.maximum(now.push_second - now.push**2, 0.0)
        ratio = np.sqrt(np.divide(spread, now.variance, out=np.zeros_like(spread), where=now.variance > 0))
        size = np.tile(self.size_C, (*ratio.shape, 1))
        size[..., -1] = -self.quiet * ratio
        return size

    def slopes(self, received: Floats | float) -> Floats:
        """d(log-odds)/d(parameter), (..., C), after ``received`` signals of its own per wrong arm."""
        if not self.quiet:
            return self.slope_C
        alone = np.exp(-np.asarray(received, dtype=np.float64))
        slope = np.tile(self.slope_C, (*alone.shape, 1))
        slope[..., 1], slope[..., -1] = -(1.0 - alone), -alone
        return slope

    def __call__(self, log_odds: float) -> tuple[Floats, Floats]:
        """Mean and second moment of each gradient at one Pass@1, (C,)."""
        if self.quiet:
            return self.of(self.law.moments(log_odds))
        drift, second, right, wrong = self.law.brief(log_odds)
        return drift * self.size_C, second * self.size_C**2 + right * self.right_C + wrong * self.wrong_C


@dataclass(frozen=True)
class Step:
    """One optimiser step of C parameters.

    Attributes:
        step_C: Change of the parameters per unit of learning rate, (..., C).
        first_C: Adam's first moment afterwards.
        second_C: Adam's second moment afterwards.
        by_first_C: d(step)/d(first).
        by_second_C: d(step)/d(second).
    """

    step_C: Floats
    first_C: Floats
    second_C: Floats
    by_first_C: Floats
    by_second_C: Floats


def advance(
    design: Design,
    mean_C: Floats,
    square_C: Floats,
    first_C: Floats,
    second_C: Floats,
    t: Floats | float,
    rounds: int = 1,
) -> Step:
    """Feed a round's gradient moments to the optimiser, with torch's bias corrections and eps.

    Of ``rounds`` rounds with the same moments Adam's own are known in closed form; its steps are summed by
    Simpson's rule.

    Args:
        design: Gives optimizer, betas and adam_eps.
        mean_C: Mean gradients, (..., C).
        square_C: Their second moments.
        first_C: Adam's first moment before.
        second_C: Adam's second moment before.
        t: Number of this round, from 1; of several the first one.
        rounds: How many rounds.
    """
    if design.optimizer == "sgd":
        nothing_C = np.zeros_like(mean_C)
        return Step(mean_C * rounds, nothing_C, nothing_C, nothing_C, nothing_C)
    if rounds > 1:
        return _leap(design, mean_C, square_C, first_C, second_C, t, rounds)
    decay1, decay2 = design.betas
    first_C = decay1 * first_C + (1.0 - decay1) * mean_C
    second_C = decay2 * second_C + (1.0 - decay2) * square_C
    bias1, bias2 = 1.0 - decay1**t, 1.0 - decay2**t
    root_C = np.sqrt(second_C / bias2)
    scale_C = root_C + design.adam_eps
    moved_C = np.divide(first_C / bias1, scale_C, out=np.zeros_like(scale_C), where=scale_C > 0)
    by_first_C = np.divide(1.0, bias1 * scale_C, out=np.zeros_like(scale_C), where=scale_C > 0)
    below_C = 2.0 * bias2 * root_C * scale_C
    by_second_C = np.divide(-moved_C, below_C, out=np.zeros_like(scale_C), where=below_C > 0)
    return Step(moved_C, first_C, second_C, by_first_C, by_second_C)


def _leap(
    design: Design,
    mean_C: Floats,
    square_C: Floats,
    first_C: Floats,
    second_C: Floats,
    t: Floats | float,
    rounds: int,
) -> Step:
    """:func:`advance` by several rounds; derivatives are those of the last one."""
    decay1, decay2 = design.betas
    moved_C = np.zeros(np.broadcast_shapes(mean_C.shape, first_C.shape))
    for k, weight in ((0.0, 1.0), ((rounds - 1) / 2.0, 4.0), (rounds - 1.0, 1.0)):
        before1_C = mean_C + decay1**k * (first_C - mean_C)
        before2_C = square_C + decay2**k * (second_C - square_C)
        last = advance(design, mean_C, square_C, before1_C, before2_C, t + k)
        moved_C += rounds * weight / 6.0 * last.step_C
    return replace(last, step_C=moved_C)


def decay(design: Design) -> float:
    """Share of every parameter that one step of AdamW takes away."""
    return design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0
