"""The policy seen from the learner: given responses scored, a prompt computed once for all its rollouts.

Two programs of the same function, both differentiable. `response_logits` takes several replicas at once,
padded to the task's shapes. `token_logprobs` takes the real tokens of one replica without padding; its shapes
follow from that replica's own tokens, so that no other replica changes a bit. Sampling, which extends
responses token by token, is `llm_runs.tiny.engine`; both run the same layers (`llm_runs.tiny.network`). The
learner is its only user; it stands alone since it knows nothing of designs, signals and steps.

Without padding, rows of tokens stand one after the other. A span is a piece of a sequence: its tokens see all
of a prefix, which stands elsewhere among the rows, and of the span itself what is not later. Prompts are
spans without a prefix, responses continue their prompt. Attention takes one pass per token and head over the
keys it sees, compiled: batched matrix products would compute several times as many, since responses differ in
length.

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, V
vocabulary; N tokens that are read (of the prompts, then of the responses but the last), M spans, H
heads, D channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_runs.compiled import compiled
from llm_runs.tiny.architecture import Architecture
from llm_runs.tiny.network import (
    Weights,
    attention,
    embed,
    layers,
    logits,
    prompt_mask,
    prompt_positions,
    response_mask,
    rotations,
)


def response_logits(
    arch: Architecture, weights: Weights, prompts_SQP: Tensor, pads_SQ: Tensor, responses_SQGT: Tensor
) -> Tensor:
    """Logits from which every response token was drawn.

    Args:
        arch: The architecture.
        weights: Stacked weights, possibly requiring gradients.
        prompts_SQP: Prompt tokens, padded on the left.
        pads_SQ: Pads of each prompt.
        responses_SQGT: Response tokens; what follows an `<eos>` is computed and means nothing.

    Returns:
        (S, Q, G, T, V); [..., t, :] are the logits of response token t.
    """
    S, Q, P = prompts_SQP.shape
    G, T = responses_SQGT.shape[2:]
    inputs = responses_SQGT[..., :-1]
    starts = P - pads_SQ
    positions = torch.cat(
        (
            prompt_positions(pads_SQ, P).flatten(1),
            (starts[..., None, None] + torch.arange(T - 1)).expand(S, Q, G, T - 1).flatten(1),
        ),
        dim=1,
    )
    turn = rotations(arch, P + T)[positions]
    among_prompt, of_response = prompt_mask(pads_SQ, P), response_mask(pads_SQ, P, T - 1)
    of_response = of_response[:, :, None].expand(S, Q, G, T - 1, P + T - 1)

    def split(x_SNHD: Tensor) -> tuple[Tensor, Tensor]:
        tail = x_SNHD.shape[2:]
        prompt, response = x_SNHD[:, : Q * P], x_SNHD[:, Q * P :]
        return prompt.reshape(S, Q, P, *tail), response.reshape(S, Q, G, T - 1, *tail)

    def own(prompt: Tensor, response: Tensor) -> Tensor:
        return torch.cat((prompt[:, :, None].expand(-1, -1, G, -1, -1, -1), response), dim=3)

    def attend(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        (qp, qr), (kp, kr), (vp, vr) = split(q), split(k), split(v)
        prompt = attention(qp, kp, vp, among_prompt)
        response = attention(qr, own(kp, kr), own(vp, vr), of_response)
        return torch.cat((prompt.flatten(1, 2), response.flatten(1, 3)), dim=1)

    ids = torch.cat((prompts_SQP.flatten(1), inputs.flatten(1)), dim=1)
    hidden = layers(arch, weights, embed(arch, weights, ids), turn, attend)
    last = hidden[:, P - 1 : Q * P : P]
    out = logits(arch, weights, torch.cat((last, hidden[:, Q * P :]), dim=1))
    first, later = out[:, :Q], out[:, Q:]
    return torch.cat(
        (first[:, :, None, None].expand(-1, -1, G, -1, -1), later.reshape(S, Q, G, T - 1, -1)), dim=3
    )


def token_logprobs(
    arch: Architecture,
    weights: Weights,
    prompts: Sequence[Sequence[int]],
    responses_QGT: Tensor,
    lengths_QG: Tensor,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Log-probability of every response token, and entropy of the distribution it was drawn from.

    Args:
        arch: The architecture.
        weights: Weights of one replica, with a leading axis of 1; possibly requiring gradients.
        prompts: Tokens of Q prompts, unpadded.
        responses_QGT: Response tokens.
        lengths_QG: Tokens of each response, at least 1.
        temperature: Positive.

    Returns:
        Log-probabilities (differentiable) and entropies (not), nats, (Q, G, T); 0 after a response's end.
    """
    Q, G, T = responses_QGT.shape
    sizes_Q, read_QG = torch.tensor([len(prompt) for prompt in prompts]), lengths_QG - 1
    at_T = torch.arange(T)
    read_QGT = at_T < read_QG[..., None]
    ids = torch.cat(
        (torch.tensor([token for tokens in prompts for token in tokens]), responses_QGT[read_QGT])
    )
    positions = torch.cat(
        (
            torch.cat([torch.arange(size) for size in sizes_Q.tolist()]),
            (sizes_Q[:, None, None] + at_T).expand(Q, G, T)[read_QGT],
        )
    )
    turn = rotations(arch, int(positions.max()) + 1)[positions]
    spans = _spans(sizes_Q, read_QG)

    def attend(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return span_attention(q[0], k[0], v[0], spans)[None]

    hidden = layers(arch, weights, embed(arch, weights, ids[None]), turn[None], attend)
    kept = torch.cat((sizes_Q.cumsum(0) - 1, torch.arange(int(sizes_Q.sum()), len(ids))))
    table = torch.log_softmax(logits(arch, weights, hidden[:, kept])[0] / temperature, dim=-1)
    later_QGT = (at_T < lengths_QG[..., None]) & (at_T > 0)
    first_QG = table[:Q].gather(1, responses_QGT[..., 0])
    later_M = table[Q:].gather(1, responses_QGT[later_QGT][:, None])[:, 0]
    with torch.no_grad():
        entropy = -(table.exp() * table).sum(-1)
        entropy_QGT = _assemble(entropy[:Q, None].expand(Q, G), entropy[Q:], later_QGT)
    return _assemble(first_QG, later_M, later_QGT), entropy_QGT


def _spans(sizes_Q: Tensor, read_QG: Tensor) -> Tensor:
    """Prompts, then responses that continue them, as spans of `span_attention`."""
    ends_Q = sizes_Q.cumsum(0)
    starts_Q = ends_Q - sizes_Q
    stops_R = ends_Q[-1] + read_QG.flatten().cumsum(0)
    prompts = torch.stack((starts_Q, starts_Q, starts_Q, ends_Q), dim=1)
    prefixes = prompts[:, [0, 3]].repeat_interleave(read_QG.shape[1], dim=0)
    responses = torch.cat((prefixes, (stops_R - read_QG.flatten())[:, None], stops_R[:, None]), dim=1)
    return torch.cat((prompts, responses))


def _assemble(first_QG: Tensor, later_M: Tensor, later_QGT: Tensor) -> Tensor:
    """Values of all tokens (Q, G, T): of first tokens, and of later ones in order; 0 elsewhere."""
    rest = first_QG.new_zeros(later_QGT.shape).masked_scatter(later_QGT, later_M)
    return torch.cat((first_QG[..., None], rest[..., 1:]), dim=-1)


Floats = NDArray[np.floating[Any]]
Spans = NDArray[np.int64]


def span_attention(q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, spans_M4: Tensor) -> Tensor:
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
