"""What a prediction or a lint warns of: settings that run but waste, mislead or break (theory §3-§5)."""

import math
from collections.abc import Iterator

from banditrft.design import BATCH_SIGNALS, GROUP_SIGNALS, PLACEBOS, Design
from banditrft.errors import InputError
from banditrft.rewards import reward_map
from banditrft.signals import largest
from banditrft.theory.cases import Case
from banditrft.theory.matching import matching_factor

MOSTLY = 0.9
LARGE_STEP = 3.0
"""Log-odds per first success above which a run is a few jumps and a smooth curve a poor guide."""
CLIP = ("clip_low", "clip_high", "dual_clip")


def of_design(design: Design) -> Iterator[str]:
    """Warnings that need no world."""
    if set(CLIP) & design.model_fields_set and design.updates_per_round == 1:
        yield "clip_low, clip_high, dual_clip: inert, one update per round keeps the policy ratio at 1"
    if design.kl_coef == 0 and "kl_estimator" in design.model_fields_set:
        yield "kl_estimator: inert, kl_coef is 0"
    if design.kl_coef == 0 and design.kl_placement == "reward":
        yield "kl_placement: inert, kl_coef is 0"
    in_loss = design.kl_coef > 0 and design.kl_placement == "loss"
    if in_loss and design.kl_estimator == "k1" and design.updates_per_round == 1:
        yield "kl_estimator: 'k1' as a loss has no mean gradient, it adds noise and no pull to the base"
    group = design.rollouts + design.baseline_rollouts
    if 0 < design.replay_window <= group and design.signal in GROUP_SIGNALS:
        yield (
            f"replay_window: {design.replay_window} is no longer than the group of {group}, so it keeps "
            "nothing from earlier rounds"
        )
    if design.signal not in GROUP_SIGNALS and (design.baseline_rollouts or design.replay_window):
        yield f"baseline_rollouts, replay_window: inert, '{design.signal}' has no statistic per group"
    if group == 1 and not design.replay_window and design.signal == "gpg" and design.batch_size > 1:
        yield "signal: 'gpg' with one rollout a group takes the group's mean as 0"
    if design.skip_equal_groups and group == 1:
        yield "skip_equal_groups: every group of one is a group of equal rewards, so nothing is ever learned"
    rewards = reward_map(design)
    if design.reward not in PLACEBOS and rewards.p_high_if_wrong >= rewards.p_high_if_right:
        yield "false_positive, false_negative: right answers are rewarded no more often than wrong ones"


def silent(fraction: float, base: float) -> str | None:
    """A warning where most groups carry no signal at the base."""
    if fraction <= MOSTLY + 1e-9:
        return None
    return f"at a base of {base:.3g} {fraction:.1%} of groups carry no signal at all"


def jump(log_odds: float) -> str | None:
    """A warning where one success moves the log-odds very far."""
    if log_odds <= LARGE_STEP:
        return None
    return f"learning_rate: a first success moves the log-odds by {log_odds:.1f}: a jump rather than a curve"


def largest_move(design: Design, base: float, gain: float) -> float | None:
    """Change of the log-odds by a lone success among failures, matching and clipping of the gradient known.

    Args:
        design: The design.
        base: Pass@1 at which a step is matched.
        gain: Log-odds per unit of step: for SGD of signal x (1 - p), for Adam of a normalised step.

    Returns:
        Log-odds; None where the signal's size is not known beforehand.
    """
    if design.optimizer != "sgd":
        return design.learning_rate * gain
    group = design.batch_size * design.rollouts
    size = largest(design)
    if design.signal in (*GROUP_SIGNALS, *BATCH_SIGNALS) and design.match_step_size:
        try:
            size *= matching_factor(design, base)
        except InputError:
            return None
    pull = size * (1.0 - base) / group
    if design.grad_clip is not None:
        # a gradient of length g moves the log-odds by sqrt(gain) g at most
        pull = min(pull, design.grad_clip / math.sqrt(gain))
    return design.learning_rate * gain * pull


def of_case(case: Case) -> Iterator[str]:
    """Warnings about a design in a world that closed forms cover."""
    design, first = case.design, case.first
    warned = silent(first.zero_signal_fraction, case.p0)
    if warned:
        yield warned
    if reward_map(design).low < 0.0 and design.signal == "raw" and not case.shared:
        yield f"reward: under '{design.reward}' noise may trap runs, unseen by a mean field (theory §5)"
    if design.reward not in PLACEBOS and first.drift <= 0:
        yield "signal: no drift towards the correct arms"
    if design.replay_window > design.rollouts + design.baseline_rollouts and design.signal in GROUP_SIGNALS:
        yield "replay_window: past rewards are taken as fresh, their lag is left out (theory §8)"
    top = design.learning_rate * case.coordinates.gain() * (1.0 - case.p0)
    if design.optimizer != "sgd":
        top = design.learning_rate * float(abs(case.coordinates.slope_C).sum()) if case.shared else 0.0
    warned = jump(top)
    if warned:
        yield warned
