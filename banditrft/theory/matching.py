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
"""

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import high_rate
from banditrft.signals import table
from banditrft.theory import domain
from banditrft.theory.batches import BatchLaw
from banditrft.theory.groups import GroupLaw
from banditrft.theory.laws import round_law

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
    rate = high_rate(design, base)
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
    if design.reward in ("noisy", "random", "graded"):
        honest |= {"reward": "zero-one", "false_positive": 0.0, "false_negative": 0.0}
    law = round_law(design.model_copy(update=honest))
    return float(law.moments(domain.log_odds(rate)).drift)
