"""A causal language model as a policy: log-probabilities and entropies of response tokens, in little memory.

Logits are made only where a response token is predicted. Where a model's logits are its output embedding of
the last hidden state and nothing else, as is tried out once, they are made a chunk of tokens at a time and
made again in the backward pass, so that a large vocabulary never stands in memory for a whole round. A model
that does more to them (soft caps, scales) computes them itself, and only their softmax is chunked.

Axes: n rows, L input tokens, R response tokens, W width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from llm_runs.learners.rows import MicroBatch

LOGITS = 2**27
"""Logits that are made at once: half a GiB in float32."""


class Policy(nn.Module):
    """A causal language model read as a policy at a temperature.

    Args:
        module: A causal language model of transformers, or a `PeftModel` around one.
        temperature: Positive; the policy is softmax(logits / temperature).
        at_once: Logits that are made at once.
    """

    def __init__(self, module: nn.Module, temperature: float, at_once: int = LOGITS) -> None:
        super().__init__()
        self.module = module
        self.temperature, self.at_once = temperature, at_once
        self.plain = _plain_head(self.model)

    @property
    def model(self) -> Any:
        """The model of transformers, adapters in place."""
        unwrap = getattr(self.module, "get_base_model", None)
        return self.module if unwrap is None else unwrap()

    def forward(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Log-probability and full-softmax entropy at each response token, nats, (R) each.

        float32, or float64 for a float64 model; the entropy is a constant to autograd.
        """
        if self.plain:
            hidden_nLW = self.model.base_model(input_ids=batch.ids_nL, use_cache=False).last_hidden_state
            picked, head = hidden_nLW[batch.row_R, batch.place_R], self.model.get_output_embeddings()
        else:
            first = int(batch.place_R.min())
            kept = batch.ids_nL.shape[1] - first
            logits = self.module(input_ids=batch.ids_nL, use_cache=False, logits_to_keep=kept).logits
            picked, head = logits[batch.row_R, batch.place_R - first], None
        size = max(1, self.at_once // self.model.config.vocab_size)
        parts = list(zip(torch.split(picked, size), torch.split(batch.targets_R, size), strict=True))
        if len(parts) == 1 or not torch.is_grad_enabled():
            read = [self._read(x, targets, head) for x, targets in parts]
        else:
            read = [checkpoint(self._read, x, targets, head, use_reentrant=False) for x, targets in parts]
        return torch.cat([logp for logp, _ in read]), torch.cat([entropy for _, entropy in read])

    def _read(self, x: Tensor, targets_R: Tensor, head: nn.Module | None) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies from hidden states (R, W), or from logits (R, V) without a head."""
        logits = x if head is None else head(x)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        logp_RV = torch.log_softmax(logits / self.temperature, dim=-1)
        entropy_R = torch.special.entr(logp_RV.detach().exp()).sum(-1)
        return logp_RV.gather(-1, targets_R[:, None])[:, 0], entropy_R


@torch.no_grad()
def _plain_head(model: Any) -> bool:
    """Whether a model's logits are bit for bit its output embedding of the last hidden state."""
    head = model.get_output_embeddings()
    if head is None or model.base_model is model:
        return False
    device = next(model.parameters()).device
    ids = torch.arange(min(16, model.config.vocab_size), device=device)[None]
    hidden = model.base_model(input_ids=ids, use_cache=False)[0]
    return torch.equal(head(hidden), model(input_ids=ids, use_cache=False).logits)
