"""The policy seen from the learner: logits of given responses, a prompt computed once for all its rollouts.

Differentiable. Sampling, which extends responses token by token, is `llm_runs.engines.stacked`; both
run the same layers (`llm_runs.network.stacked`).

Axes: S replicas, Q prompts of a replica, P prompt tokens, G rollouts of a prompt, T response tokens, V
vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llm_runs.network import attention as att
from llm_runs.network.architecture import Architecture
from llm_runs.network.stacked import Weights, embed, layers, logits, rotations


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
            att.prompt_positions(pads_SQ, P).flatten(1),
            (starts[..., None, None] + torch.arange(T - 1)).expand(S, Q, G, T - 1).flatten(1),
        ),
        dim=1,
    )
    turn = rotations(arch, P + T)[positions]
    prompt_bias, response_bias = att.prompt_bias(pads_SQ, P), att.response_bias(pads_SQ, P, T - 1)
    response_bias = response_bias[:, :, None].expand(S, Q, G, T - 1, P + T - 1)

    def split(x_SNHD: Tensor) -> tuple[Tensor, Tensor]:
        tail = x_SNHD.shape[2:]
        prompt, response = x_SNHD[:, : Q * P], x_SNHD[:, Q * P :]
        return prompt.reshape(S, Q, P, *tail), response.reshape(S, Q, G, T - 1, *tail)

    def own(prompt: Tensor, response: Tensor) -> Tensor:
        return torch.cat((prompt[:, :, None].expand(-1, -1, G, -1, -1, -1), response), dim=3)

    def attend(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        (qp, qr), (kp, kr), (vp, vr) = split(q), split(k), split(v)
        prompt = att.attention(qp, kp, vp, prompt_bias)
        response = att.attention(qr, own(kp, kr), own(vp, vr), response_bias)
        return torch.cat((prompt.flatten(1, 2), response.flatten(1, 3)), dim=1)

    ids = torch.cat((prompts_SQP.flatten(1), inputs.flatten(1)), dim=1)
    hidden = layers(arch, weights, embed(arch, weights, ids), turn, attend)
    last = hidden[:, P - 1 : Q * P : P]
    out = logits(arch, weights, torch.cat((last, hidden[:, Q * P :]), dim=1))
    first, later = out[:, :Q], out[:, Q:]
    return torch.cat(
        (first[:, :, None, None].expand(-1, -1, G, -1, -1), later.reshape(S, Q, G, T - 1, -1)), dim=3
    )
