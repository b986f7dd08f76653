"""Step-size matching: a signal scaled so that it starts as fast as the raw reward does (theory §3).

"GRPO against raw" compares step sizes as well as signals. With `match_step_size` every signal of a design is
multiplied by one number, fixed before the first round, that makes the expected gradient at the base Pass@1
equal to that of the same design with the raw signal. It is that for every arm, not for the classes alone: a
group's rewards are independent and high with probability q, so E[grad_b] = pi_b (rho_b - q) (e1 - e0), with
rho_b the arm's rate of high rewards and e1, e0 the expected signals of a high and a low reward, which depend
on the signal and on q only. Label noise therefore enters through q alone; for the random placebo, whose
expected gradient is 0, the factor is the one of honest rewards at its rate, for the yoked one that of its
pair. Baseline rollouts and a full replay window are part of the population at q. Under SGD only: Adam
normalises its step.

A group of G rollouts with S ~ Binomial(G, p) successes moves the policy along one direction, correct against
wrong, by the multiplier u(S) = [S s1(S) (1-p) - (G-S) s0(S) p] / G, where s1 and s0 are the signals of a
success and of a failure in that group; the raw signal's mean multiplier, its drift, is p(1-p). Label noise,
placebo, baseline rollouts and batches of copies: :mod:`banditrft.theory.groups`. Expectations are finite
sums.
"""

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import is_honest, reward_map
from banditrft.signals import table
from banditrft.theory import domain
from banditrft.theory.batches import BatchLaw
from banditrft.theory.groups import GroupLaw
from banditrft.theory.laws import round_law
from banditrft.theory.moments import ClassMoments

RAW = {"signal": "raw", "baseline_rollouts": 0, "replay_window": 0}


def matching_factor(design: Design, base: float) -> float:
    """Raw's drift over the signal's at the base rate of high rewards; 1 for the raw signal.

    Args:
        design: Any signal of a two-valued reward; a batch counts as copies of one query.
        base: Base Pass@1; the rate of high rewards it leads to must lie in (0, 1).

    Raises:
        InputError: There is no drift to match: every reward is the same, or the signal has none.
    """
    design = design.treatment
    rate = reward_map(design, base).p_high(base)
    if not 0.0 < rate < 1.0:
        raise InputError(
            f"match_step_size: needs high rewards at a base rate in (0, 1), got {rate:g} at Pass@1 = {base:g}"
        )
    raw, own = (_drift(d, rate) for d in (design.model_copy(update=RAW), design))
    if not own > 0.0:
        raise InputError(f"match_step_size: '{design.signal}' has no drift to match at Pass@1 = {base:g}")
    return raw / own


def matched_law(design: Design, base: float) -> GroupLaw | BatchLaw:
    """The law of a design's rounds with its signals as a learner applies them.

    Args:
        design: As for `banditrft.theory.laws.round_law`.
        base: Base Pass@1 of the training query, in (0, 1).

    Raises:
        InputError: The design has no law, or no drift to match.
    """
    law = round_law(design, base)
    return law.scaled(matching_factor(design, base)) if design.match_step_size else law


def design_table(design: Design, base: float) -> NDArray[np.float64]:
    """The signals a learner of this design applies: `banditrft.signals.table`, matched where asked for.

    Args:
        design: As for :func:`matching_factor`.
        base: Base Pass@1 of the training query.

    Returns:
        float64 (G + 1, 2), as `banditrft.signals.table`.

    Raises:
        InputError: The signal has no table, or no drift to match.
    """
    table_S2 = table(design)
    return table_S2 * matching_factor(design, base) if design.match_step_size else table_S2


def _drift(design: Design, rate: float) -> float:
    """Mean multiplier of honest rewards at Pass@1 = ``rate``."""
    honest: dict[str, object] = {"kl_coef": 0.0, "match_step_size": False}
    if not is_honest(design):
        honest |= {"reward": "zero-one", "false_positive": 0.0, "false_negative": 0.0}
    law = round_law(design.model_copy(update=honest))
    return float(law.moments(domain.log_odds(rate)).drift)


def class_moments(design: Design, p: float, base: float | None = None) -> ClassMoments:
    """Moments of one round's update of a design at Pass@1 = p (theory §3).

    Args:
        design: Any signal; a two-valued reward, honest, noisy or placebo; a batch is B copies of the query;
            past rewards of a replay window count as fresh.
        p: Pass@1, in (0, 1).
        base: Base Pass@1, for the placebo's rate, step-size matching and a KL penalty; ``p`` by default.

    Raises:
        InputError: ``p`` is outside (0, 1), or the design has no closed form.
    """
    log_odds = domain.log_odds(domain.open_unit("p", p))
    return ClassMoments.at(matched_law(design, p if base is None else base).moments(log_odds))


def ratio_to_raw(design: Design, p: float) -> float:
    """Drift of a design's signal over the raw {0,1} drift p(1-p): its relative step size (theory §3)."""
    return class_moments(design, p).drift / (p * (1.0 - p))
