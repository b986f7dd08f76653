"""Causal attention of packed sequences that continue shared prefixes, and its gradient, compiled.

Rows of tokens stand one after the other without pads. A span is a piece of a sequence: its tokens see all of
a prefix, which stands elsewhere among the rows, and of the span itself what is not later. Prompts are spans
without a prefix, responses continue their prompt. One pass per token and head over the keys it sees: batched
matrix products would compute several times as many, since responses differ in length.

Axes: N tokens, M spans, H heads, D channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_runs.network.compiled import compiled

Floats = NDArray[np.floating[Any]]
Spans = NDArray[np.int64]


def attention(q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, spans_M4: Tensor) -> Tensor:
    """Softmax attention; differentiable.

    Args:
        q_NHD: Queries.
        k_NHD: Keys.
        v_NHD: Values.
        spans_M4: int64, of each span the first row and the end of its prefix (equal where it has none), its
            own first row and its end. Every row belongs to one span.

    Returns:
        (N, H, D).
    """
    out: Tensor = _Attention.apply(q_NHD, k_NHD, v_NHD, spans_M4)  # type: ignore[no-untyped-call, unused-ignore]
    return out


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, spans: Tensor) -> Tensor:
        q, k, v = (x.contiguous() for x in (q, k, v))
        out, total = torch.empty_like(q), q.new_empty(q.shape[:2])
        _forward(*(x.detach().numpy() for x in (q, k, v, spans, out, total)))
        ctx.save_for_backward(q, k, v, spans, out, total)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, spans, out, total = ctx.saved_tensors
        grads = [torch.zeros_like(q) for _ in range(3)]
        inputs = (q, k, v, spans, out, total, grad.contiguous(), *grads)
        _backward(*(x.detach().numpy() for x in inputs))
        return grads[0], grads[1], grads[2], None


@compiled
def _forward(
    q_NHD: Floats, k_NHD: Floats, v_NHD: Floats, spans_M4: Spans, out_NHD: Floats, total_NH: Floats
) -> None:
    """Write outputs, and the logarithm of each softmax's denominator."""
    N, H, D = q_NHD.shape
    number = q_NHD.dtype.type
    scale = number(1 / math.sqrt(D))
    weights = np.empty(N, q_NHD.dtype)
    for m in range(len(spans_M4)):
        first, end, own, stop = spans_M4[m]
        shared = end - first
        for h in range(H):
            for n in range(own, stop):
                q, out = q_NHD[n, h], out_NHD[n, h]
                count = shared + n - own + 1
                top = number(-np.inf)
                for j in range(count):
                    key = k_NHD[first + j if j < shared else own + j - shared, h]
                    score = number(0)
                    for d in range(D):
                        score += q[d] * key[d]
                    weights[j] = score * scale
                    top = max(top, weights[j])
                total = number(0)
                for j in range(count):
                    weights[j] = math.exp(weights[j] - top)
                    total += weights[j]
                for d in range(D):
                    out[d] = number(0)
                for j in range(count):
                    value = v_NHD[first + j if j < shared else own + j - shared, h]
                    share = weights[j] / total
                    for d in range(D):
                        out[d] += share * value[d]
                total_NH[n, h] = top + math.log(total)


@compiled
def _backward(
    q_NHD: Floats,
    k_NHD: Floats,
    v_NHD: Floats,
    spans_M4: Spans,
    out_NHD: Floats,
    total_NH: Floats,
    grad_NHD: Floats,
    dq_NHD: Floats,
    dk_NHD: Floats,
    dv_NHD: Floats,
) -> None:
    """Add the gradients of queries, keys and values, given the outputs' and what `_forward` wrote."""
    H, D = q_NHD.shape[1:]
    number = q_NHD.dtype.type
    scale = number(1 / math.sqrt(D))
    for m in range(len(spans_M4)):
        first, end, own, stop = spans_M4[m]
        shared = end - first
        for h in range(H):
            for n in range(own, stop):
                q, grad, dq, out = q_NHD[n, h], grad_NHD[n, h], dq_NHD[n, h], out_NHD[n, h]
                mean = number(0)
                for d in range(D):
                    mean += grad[d] * out[d]
                for j in range(shared + n - own + 1):
                    at = first + j if j < shared else own + j - shared
                    key, value, dk, dv = k_NHD[at, h], v_NHD[at, h], dk_NHD[at, h], dv_NHD[at, h]
                    score, slope = number(0), number(0)
                    for d in range(D):
                        score += q[d] * key[d]
                        slope += grad[d] * value[d]
                    share = math.exp(score * scale - total_NH[n, h])
                    pull = share * (slope - mean) * scale
                    for d in range(D):
                        dq[d] += pull * key[d]
                        dk[d] += pull * q[d]
                        dv[d] += share * grad[d]
