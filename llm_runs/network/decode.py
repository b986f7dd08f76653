"""Attention of one new token per row to its row's cached keys and values, compiled.

One pass over the cache per row and head: a batch of thousands of 1 x D by D x L products is what batched
matrix libraries are worst at. Rows are computed one after the other, each from its own numbers alone; rows
that have ended are passed over. Prompts and the learner use torch's attention (`llm_runs.network.attention`).

Axes: N rows (replica, prompt, rollout), H heads, D channels, L cache length.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_runs.network.compiled import compiled

Floats = NDArray[np.floating[Any]]


@compiled
def attend_last(
    q_NHD: Floats,
    k_NHD: Floats,
    v_NHD: Floats,
    keys_NHLD: Floats,
    values_NHLD: Floats,
    first_N: NDArray[np.int64],
    at: int,
    alive_N: NDArray[np.bool_],
    out_NHD: Floats,
) -> None:
    """Store each row's key and value at position `at` of its cache, and attend to positions first..at.

    Args:
        q_NHD: Queries, rotated.
        k_NHD: Keys, rotated.
        v_NHD: Values.
        keys_NHLD: Cached keys, written at `at`.
        values_NHLD: Cached values, written at `at`.
        first_N: First position of each row that is no pad.
        at: Position of the new token.
        alive_N: Rows to compute.
        out_NHD: Receives softmax(q k / sqrt(D)) v; rows that are not alive keep what stands there.
    """
    N, H, D = q_NHD.shape
    zero = q_NHD.dtype.type(0)
    scale = q_NHD.dtype.type(1 / math.sqrt(D))
    weights = np.empty(at + 1, q_NHD.dtype)
    for n in range(N):
        if not alive_N[n]:
            continue
        for h in range(H):
            q, keys, values, out = q_NHD[n, h], keys_NHLD[n, h], values_NHLD[n, h], out_NHD[n, h]
            top = q_NHD.dtype.type(-np.inf)
            for d in range(D):
                keys[at, d] = k_NHD[n, h, d]
                values[at, d] = v_NHD[n, h, d]
                out[d] = zero
            for j in range(first_N[n], at + 1):
                score = zero
                for d in range(D):
                    score += q[d] * keys[j, d]
                weights[j] = score * scale
                top = max(top, weights[j])
            total = zero
            for j in range(first_N[n], at + 1):
                weights[j] = math.exp(weights[j] - top)
                total += weights[j]
            for j in range(first_N[n], at + 1):
                share = weights[j] / total
                for d in range(D):
                    out[d] += share * values[j, d]
