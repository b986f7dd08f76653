"""Classical exploration on the lumped bandit: UCB, Thompson sampling, epsilon-greedy (theory §1).

The reference for "why has reinforcement fine-tuning no exploration bonus?". These algorithms know an arm by
its pulls and successes alone, so the arms of a class with equal counts are interchangeable, never-pulled ones
above all: like a policy's lumps, they share one entry with a multiplicity. State grows with the number of
*distinct counts* seen, not with the number of arms: up to 2**53 arms a class, exactly, and posterior draws of
n equal arms cost one number, by inversion of the law of their maximum.

What happens as the number of arms K grows, with m good ones:

- UCB must pull every arm once before it uses what it learned: no exploitation before round K;
- a search that knows nothing finds a good arm after (K + 1)/(m + 1) pulls without repetition, K/m with it;
- sampling from a policy that gives good arms the mass p0 finds one after 1/p0 pulls, whatever K.

The *informed* variants are given that policy (the classes' initial masses) as well. Nothing here has
parameters or gradients: for policy gradient see `sims.lumped.simulator`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from sims.exploration.kernel import (
    BELIEF,
    EPSILON_GREEDY,
    KL_UCB,
    THOMPSON,
    UCB1,
    Lumps,
    Rule,
    run_replicates,
)
from sims.grids import check_rising
from sims.lumped.simulator import Bandit

Kind = Literal["ucb1", "kl-ucb", "thompson", "belief", "epsilon-greedy"]
CODES = {
    "ucb1": UCB1,
    "kl-ucb": KL_UCB,
    "thompson": THOMPSON,
    "belief": BELIEF,
    "epsilon-greedy": EPSILON_GREEDY,
}


@dataclass(frozen=True)
class Explorer:
    """A bandit algorithm.

    Attributes:
        kind: "ucb1" (index s/n + sqrt(2 ln t/n)); "kl-ucb" (largest q with n kl(s/n, q) <= ln t); "thompson"
            (a draw from every arm's Beta(1 + s, 1 + n - s)); "belief" (Thompson sampling of *which* arm is
            good: an arm is drawn in proportion to prior mass times likelihood of its rewards);
            "epsilon-greedy" (largest s/n, 0 for an arm never pulled, ties drawn; with probability epsilon
            any arm).
        informed: Whether arms that tie, explored arms and beliefs weigh the classes' initial masses; else all
            arms alike.
        epsilon: Share of exploring rounds of "epsilon-greedy", in [0, 1].
        decay: Above 0: epsilon is min(1, decay/t) in round t instead.
        assumed: Success probability of a wrong and of a good arm that "belief" assumes, rising, in (0, 1).
    """

    kind: Kind
    informed: bool = False
    epsilon: float = 0.1
    decay: float = 0.0
    assumed: tuple[float, float] = (0.01, 0.99)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"kind: must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if not 0.0 <= self.epsilon <= 1.0:
            raise InputError(f"epsilon: must lie in [0, 1], got {self.epsilon}")
        if not 0.0 <= self.decay < math.inf:
            raise InputError(f"decay: must be finite and 0 or more, got {self.decay}")
        wrong, good = self.assumed
        if not 0.0 < wrong < good < 1.0:
            raise InputError(f"assumed: must rise within (0, 1), got {self.assumed}")


@dataclass(frozen=True)
class ExplorationPaths:
    """What R replicates did.

    Attributes:
        gain_RE: Sum of the success probabilities of the arms pulled up to each evaluation round; its
            increments estimate Pass@1; rounds times the best arm's probability minus it is the regret.
        first_R: Round of the first success, -1 if there was none.
        tried_R: Number of different arms pulled.
    """

    gain_RE: NDArray[np.float64]
    first_R: NDArray[np.int64]
    tried_R: NDArray[np.float64]


def explore(
    bandit: Bandit,
    explorer: Explorer,
    *,
    root_seed: int,
    seeds: Sequence[int] | NDArray[np.int64],
    rounds: int,
    eval_rounds: Sequence[int] | NDArray[np.int64] = (),
    until_first: bool = False,
) -> ExplorationPaths:
    """Run one replicate per seed on one core, one pull a round.

    Args:
        bandit: The arms; initial masses matter to an informed explorer only.
        explorer: The algorithm.
        root_seed: First part of the key of every random number, in [0, 2**63).
        seeds: One per replicate; a replicate depends on its own seed alone.
        rounds: Rounds T, at least 0.
        eval_rounds: Rising rounds in 0..T after which the gain is recorded.
        until_first: End a replicate with its first success; takes no ``eval_rounds``.

    Raises:
        InputError: An argument is outside its range.
    """
    seeds_R, eval_E = np.asarray(seeds, np.int64), np.asarray(eval_rounds, np.int64)
    if not 0 <= rounds < 2**31 or root_seed < 0 or (seeds_R < 0).any():
        raise InputError(f"rounds, root_seed, seeds: must be at least 0, got rounds = {rounds}")
    check_rising("eval_rounds", eval_E, rounds)
    if until_first and len(eval_E):
        raise InputError("eval_rounds: must be empty where a replicate ends with its first success")
    R, capacity = len(seeds_R), len(bandit.arms_C) + rounds
    counts, values = np.zeros((3, capacity), np.int64), np.zeros((2, capacity))
    lumps = Lumps(counts[0], counts[1], counts[2], values[0], values[1])
    paths = ExplorationPaths(np.empty((R, len(eval_E))), np.empty(R, np.int64), np.empty(R))
    run_replicates(
        root_seed,
        seeds_R,
        rounds,
        lumps,
        rule(bandit, explorer),
        bandit.arms_C,
        bandit.reward_C,
        until_first,
        eval_E,
        paths.gain_RE,
        paths.first_R,
        paths.tried_R,
    )
    return paths


def rule(bandit: Bandit, explorer: Explorer) -> Rule:
    """An explorer as the kernel sees it."""
    wrong, good = explorer.assumed
    return Rule(
        CODES[explorer.kind],
        explorer.epsilon,
        explorer.decay,
        math.log(good / wrong),
        math.log1p(-good) - math.log1p(-wrong),
        bandit.mass_C / bandit.arms_C if explorer.informed else np.ones_like(bandit.arms_C),
    )


def search_rounds(num_arms: int, num_correct: int, *, repeats: bool) -> float:
    """Expected pulls to the first correct arm when arms are drawn uniformly.

    K/m with repetition (geometric), (K + 1)/(m + 1) without (negative hypergeometric).

    Args:
        num_arms: K.
        num_correct: m, from 1 to K; a pull of a correct arm always succeeds.
        repeats: Whether an arm may be pulled again.

    Raises:
        InputError: ``num_correct`` is not between 1 and ``num_arms``.
    """
    if not 1 <= num_correct <= num_arms:
        raise InputError(f"num_correct: must lie in 1..{num_arms}, got {num_correct}")
    return num_arms / num_correct if repeats else (num_arms + 1) / (num_correct + 1)
