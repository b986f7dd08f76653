"""The recursion of theory §4 with its covariance: one step of mean and linear noise.

The state of a block is (log-odds, Adam's first and second moments of C parameters). Its mean follows the
mean-field recursion; its covariance P <- A P A' + N S N', with A the recursion's derivative, N how the
round's multiplier enters and S the covariance of (u, u^2).
"""

import numpy as np

from banditrft.design import Design
from banditrft.theory.coordinates import Coordinates, advance, decay
from banditrft.theory.moments import Floats, RoundMoments

DIFFERENCE = 1e-4
"""Step in log-odds of numerical derivatives."""


def taught(now: RoundMoments) -> RoundMoments:
    """Moments of a round that is known to carry a signal (an idle one has u = 0)."""
    teaches = now.active
    raw2 = now.variance + now.drift**2
    raw3 = now.third + 3.0 * now.drift * now.variance + now.drift**3
    raw4 = now.fourth + 4.0 * now.drift * now.third + 6.0 * now.drift**2 * now.variance + now.drift**4
    drift, second, third, fourth = now.drift / teaches, raw2 / teaches, raw3 / teaches, raw4 / teaches
    return RoundMoments(
        drift=drift,
        variance=np.maximum(second - drift**2, 0.0),
        third=third - 3.0 * drift * second + 2.0 * drift**3,
        fourth=fourth - 4.0 * drift * third + 6.0 * drift**2 * second - 3.0 * drift**4,
        correct_energy=now.correct_energy / teaches,
        wrong_energy=now.wrong_energy / teaches,
        silent=now.silent,
        active=np.ones_like(now.active),
        push=now.push / teaches,
        push_second=now.push_second / teaches,
        wrong_signals=now.wrong_signals / teaches,
    )


class Walk:
    """Mean state and covariance of Q blocks: log-odds, then Adam's moments of C parameters."""

    def __init__(self, coordinates: Coordinates, design: Design, base: float, blocks: int) -> None:
        self.coordinates, self.design = coordinates, design
        C = len(coordinates.slope_C)
        self.states = 1 if design.optimizer == "sgd" else 1 + 2 * C
        self.log_odds_Q = np.full(blocks, base)
        self.first_QC, self.second_QC = np.zeros((blocks, C)), np.zeros((blocks, C))
        self.covariance_QDD = np.zeros((blocks, self.states, self.states))
        self.speed_Q, self.heard_Q = np.zeros((2, blocks))

    def sd_Q(self) -> Floats:
        """Standard deviation of the log-odds, (Q,)."""
        return np.asarray(np.sqrt(np.maximum(self.covariance_QDD[:, 0, 0], 0.0)))

    def round(self, t_Q: Floats, known: RoundMoments | None, rounds: int = 1) -> None:
        """One round, the t-th since the start, or a leap of ``rounds`` rounds, a power of two.

        ``known`` replaces the moments of a round that teaches. A leap takes the moments in its middle for all
        of its rounds.
        """
        coordinates, design = self.coordinates, self.design
        x_Q = self.log_odds_Q + self.speed_Q * (rounds - 1) / 2.0
        at_3Q = coordinates.law.moments(x_Q + np.array([[0.0], [DIFFERENCE], [-DIFFERENCE]]))
        now = known if known is not None else RoundMoments(*(_row(part) for part in _parts(at_3Q)))
        means_3QC, squares_3QC = coordinates.of(at_3Q)
        drift_slope_QC = (means_3QC[1] - means_3QC[2]) / (2.0 * DIFFERENCE)
        square_slope_QC = (squares_3QC[1] - squares_3QC[2]) / (2.0 * DIFFERENCE)
        mean_QC, square_QC = coordinates.of(now)
        step = advance(
            design,
            np.broadcast_to(mean_QC, self.first_QC.shape),
            np.broadcast_to(square_QC, self.first_QC.shape),
            self.first_QC,
            self.second_QC,
            t_Q[:, None],
            rounds,
        )
        if coordinates.quiet:
            memory, signals_Q = design.betas[1], coordinates.quiet * now.wrong_signals
            kept = memory**rounds
            self.heard_Q = kept * self.heard_Q + signals_Q * (1.0 - kept) / (1.0 - memory)
        slopes_QC = np.broadcast_to(coordinates.slopes(self.heard_Q), self.first_QC.shape)
        self._covariance(
            step.by_first_C, step.by_second_C, drift_slope_QC, square_slope_QC, now, slopes_QC, rounds
        )
        keep, rest = 1.0 - decay(design), coordinates.rest
        moved_Q = design.learning_rate * (step.step_C * slopes_QC).sum(axis=1)
        left = keep**rounds
        pull = 1.0 if keep == 1.0 else (1.0 - left) / (rounds * (1.0 - keep))
        after_Q = rest + left * (self.log_odds_Q - rest) + moved_Q * pull
        self.speed_Q, self.log_odds_Q = (after_Q - self.log_odds_Q) / rounds, after_Q
        self.first_QC, self.second_QC = step.first_C, step.second_C

    def _covariance(
        self,
        by_first_QC: Floats,
        by_second_QC: Floats,
        drift_slope_QC: Floats,
        square_slope_QC: Floats,
        now: RoundMoments,
        slopes_QC: Floats,
        rounds: int,
    ) -> None:
        """P <- A P A' + N S N', with A the recursion's derivative and S the covariance of (u, u^2)."""
        design, size_QC = self.design, np.broadcast_to(self.coordinates.noise(now), slopes_QC.shape)
        pull_QC, keep = design.learning_rate * slopes_QC, 1.0 - decay(design)
        Q, D, C = len(self.log_odds_Q), self.states, slopes_QC.shape[1]
        linear, noise = np.zeros((Q, D, D)), np.zeros((Q, D, 2))
        if design.optimizer == "sgd":
            linear[:, 0, 0] = keep + (drift_slope_QC * pull_QC).sum(axis=1)
            noise[:, 0, 0] = (pull_QC * size_QC).sum(axis=1)
        else:
            decay1, decay2 = design.betas
            moments = slice(1, 1 + C), slice(1 + C, 1 + 2 * C)
            index = np.arange(C)
            linear[:, 1 + index, 1 + index], linear[:, 1 + C + index, 1 + C + index] = decay1, decay2
            linear[:, moments[0], 0] = (1.0 - decay1) * drift_slope_QC
            linear[:, moments[1], 0] = (1.0 - decay2) * square_slope_QC
            noise[:, moments[0], 0], noise[:, moments[1], 1] = (
                (1.0 - decay1) * size_QC,
                (1.0 - decay2) * size_QC**2,
            )
            row = np.concatenate([by_first_QC * pull_QC, by_second_QC * pull_QC], axis=1)[:, None, :]
            linear[:, :1], noise[:, :1] = row @ linear[:, 1:], row @ noise[:, 1:]
            linear[:, 0, 0] += keep
        between, own = now.square_noise
        driver = np.empty((Q, 2, 2))
        driver[:, 0, 0], driver[:, 1, 1] = now.variance, own
        driver[:, 0, 1] = driver[:, 1, 0] = between
        fresh = noise @ driver @ noise.swapaxes(1, 2)
        for _ in range(rounds.bit_length() - 1):
            fresh = fresh + linear @ fresh @ linear.swapaxes(1, 2)
            linear = linear @ linear
        self.covariance_QDD = fresh + linear @ self.covariance_QDD @ linear.swapaxes(1, 2)


def _parts(moments: RoundMoments) -> list[Floats]:
    return [getattr(moments, name) for name in RoundMoments.__dataclass_fields__]


def _row(part: Floats) -> Floats:
    return np.asarray(part[0])
