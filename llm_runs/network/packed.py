"""The policy seen from the learner without padding: the real tokens of one replica's prompts and responses.

A prompt is computed once for all its rollouts. Shapes follow from one replica's own tokens, so that no other
replica changes a bit. `llm_runs.network.policy` is the same function of several replicas at once, padded to
the task's shapes.

Axes: Q prompts, G rollouts of a prompt, T response tokens, N tokens that are read: those of the prompts, then
those of the responses but the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from llm_runs.network.architecture import Architecture
from llm_runs.network.packed_attention import attention
from llm_runs.network.stacked import Weights, embed, layers, logits, rotations


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
        return attention(q[0], k[0], v[0], spans)[None]

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
    """Prompts, then responses that continue them, as spans of `llm_runs.network.packed_attention`."""
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
