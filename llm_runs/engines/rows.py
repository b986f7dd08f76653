"""Attention of one new token per row on a CPU, compiled: what batched matrix libraries are worst at.

Registered with transformers as an attention function and switched on while a plain model is sampled in
float32 or float64; every other call goes to torch's own attention. Rows are shared out among as many threads
as torch uses. It stands alone since importing it registers it and loads the compiler.

Axes: N rows, H query heads, K key-value heads, D channels, L positions.
"""

from __future__ import annotations

import functools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from llm_runs.compiled import compiled

Floats = NDArray[np.floating[Any]]

NAME = "banditrft_rows"
"""Name of the attention function in transformers."""
TYPES = (torch.float32, torch.float64)
OTHER = ("softcap", "s_aux", "position_bias", "sinks")
"""Arguments of attention functions that change what is computed."""


@compiled
def attend_row(
    q_NHD: Floats, keys_NKLD: Floats, values_NKLD: Floats, bias_NL: Floats, scale: float, out_NHD: Floats
) -> None:
    """Softmax attention of one query per row and head to the row's cached keys and values.

    Args:
        q_NHD: Queries.
        keys_NKLD: Keys; each serves H / K query heads, neighbours.
        values_NKLD: Values.
        bias_NL: Added to the scores; its L positions are attended to, -inf hides one.
        scale: Factor of the scores before the bias.
        out_NHD: Receives softmax(scale q k + bias) v.
    """
    N, H, D = q_NHD.shape
    L, shared = bias_NL.shape[1], H // keys_NKLD.shape[1]
    weights = np.empty(L, q_NHD.dtype)
    factor = q_NHD.dtype.type(scale)
    for n in range(N):
        for h in range(H):
            q, out = q_NHD[n, h], out_NHD[n, h]
            keys, values = keys_NKLD[n, h // shared], values_NKLD[n, h // shared]
            top = q_NHD.dtype.type(-np.inf)
            for j in range(L):
                score = q_NHD.dtype.type(0)
                for d in range(D):
                    score += q[d] * keys[j, d]
                weights[j] = score * factor + bias_NL[n, j]
                top = max(top, weights[j])
            total = q_NHD.dtype.type(0)
            for j in range(L):
                weights[j] = math.exp(weights[j] - top)
                total += weights[j]
            for d in range(out.shape[0]):
                out[d] = 0
            for j in range(L):
                share = weights[j] / total
                for d in range(out.shape[0]):
                    out[d] += share * values[j, d]


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers: query (N, H, 1, D), filled part of a `RowCache`, additive mask.

    Returns:
        Outputs (N, 1, H, D), and nothing in place of the weights.
    """
    fits = query.shape[2] == 1 and attention_mask is not None and query.dtype in TYPES
    if not fits or any(kwargs.get(name) is not None for name in OTHER):
        torchs: tuple[Tensor, None] = cast(Any, sdpa_attention_forward)(
            module, query, key, value, attention_mask, **kwargs
        )
        return torchs
    N, H, _, D = query.shape
    q = query[:, :, 0].contiguous().numpy()
    out = query.new_empty(N, 1, H, value.shape[-1])
    arrays = (q, _whole(key), _whole(value), cast(Tensor, attention_mask)[:, 0, 0].numpy())
    scale, parts = kwargs.get("scaling") or 1 / math.sqrt(D), torch.get_num_threads()
    if parts == 1:
        attend_row(*arrays, scale, out[:, 0].numpy())
        return out, None
    borders = [slice(N * i // parts, N * (i + 1) // parts) for i in range(parts)]

    def part(at: slice) -> None:
        query_, keys, values, bias = (x[at] for x in arrays)
        attend_row(query_, keys, values, bias, scale, out[at, 0].numpy())

    jobs = [_pool(parts).submit(part, at) for at in borders]
    for job in jobs:
        job.result()
    return out, None


def _whole(x_NKLD: Tensor) -> NDArray[Any]:
    """The cache that a filled part was cut from: contiguous, which compiled loops over strides are not."""
    N, K, _, D = x_NKLD.shape
    return x_NKLD.as_strided((N, K, x_NKLD.stride(1) // D, D), x_NKLD.stride()).numpy()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")


cast(Any, AttentionInterface).register(NAME, attention)
