"""The learner's objective, world-independent: per-token losses and how they become one number.

Written against the array-API standard, so that torch differentiates it and NumPy can check it. With one
optimiser step per round the policy ratio is 1 and a clip never acts, so the surrogate is the plain policy
gradient (theory §1). What the signals are is decided in `banditrft.signals`; who takes the step, in the
worlds.
"""

from typing import Any

import array_api_compat

Array = Any
"""An array of any library that follows the array-API standard (NumPy, torch)."""


def policy_gradient(logprobs_SGT: Array, signals_SG: Array) -> Array:
    """Token losses whose gradient is the policy gradient: -signal x log-probability (theory §1).

    Args:
        logprobs_SGT: Log-probability of every token drawn, nats.
        signals_SG: Learning signal of every rollout, a constant.

    Returns:
        (S, G, T) losses.
    """
    return -signals_SG[..., None] * logprobs_SGT


def token_mean(losses_SGT: Array, mask_SGT: Array) -> Array:
    """Mean over all tokens of a replica's round, its `<eos>` tokens included.

    The "global token mean" (`dapo` in TRL): independent of how a round is cut into micro-batches.

    Args:
        losses_SGT: Token losses.
        mask_SGT: 1 for a token of a response, 0 for what follows its end; at least one 1 per replica.

    Returns:
        (S,) losses.
    """
    xp = array_api_compat.array_namespace(losses_SGT)
    return xp.sum(losses_SGT * mask_SGT, axis=(-2, -1)) / xp.sum(mask_SGT, axis=(-2, -1))
