"""Responses of a round as rows of a model's input, and their log-probabilities, in little memory.

A row is a prompt and its response, padded on the right: what is causal never sees the padding, so no
attention mask is needed. Rows of similar length share a micro-batch. Only positions that predict a response
token are read out, laid end to end.

Logits are made only there. Where a model's logits are its output embedding of the last hidden state and
nothing else, as is tried out once, they are made a chunk of tokens at a time and made again in the backward
pass, so that a large vocabulary never stands in memory for a whole round. A model that does more to them
(soft caps, scales) computes them itself, and only their softmax is chunked.

Axes: N rows of a replica's round (query by query), n rows of a micro-batch, L their longest input, T response
tokens, R response tokens of a micro-batch laid end to end, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from llm_runs.interfaces import Prompts, Samples

LOGITS = 2**27
"""Logits that are made at once: half a GiB in float32."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together.

    Attributes:
        index_n: Which rows of the round.
        ids_nL: Input tokens: each prompt and its response but for the last token, filled up on the right.
        row_R: Row 0 ... n - 1 of each response token.
        place_R: Input position whose output predicts it.
        column_R: Its place 0 ... T - 1 in the response.
        targets_R: The token itself.
        idle: Passed through only to keep ranks in step; counts for nothing.
    """

    index_n: Tensor
    ids_nL: Tensor
    row_R: Tensor
    place_R: Tensor
    column_R: Tensor
    targets_R: Tensor
    idle: bool = False

    def of_tokens(self, values_N: Tensor) -> Tensor:
        """The value of each token's row, (R)."""
        return values_N[self.index_n][self.row_R]

    def at_tokens(self, values_NT: Tensor) -> Tensor:
        """The value of each token, (R)."""
        return values_NT[self.index_n[self.row_R], self.column_R]

    def put(self, out_NT: Tensor, values_R: Tensor) -> None:
        """Write each token's value to its place in a round's table."""
        if not self.idle:
            out_NT[self.index_n[self.row_R], self.column_R] = values_R.to(out_NT.dtype)


class Rows:
    """The rows of one replica's round."""

    def __init__(self, prompts: Prompts, samples: Samples, pad: int, device: torch.device) -> None:
        """Lay out a round.

        Args:
            prompts: Prompts of one replica, each of at least one token.
            samples: Their responses, each of at least one token.
            pad: Any token of the model's; what it is does not matter.
            device: Where micro-batches are put.
        """
        _, Q, G, T = samples.tokens_SQGT.shape
        self.prompts: list[Sequence[int]] = [prompts.ids[0][q] for q in range(Q) for _ in range(G)]
        self.tokens_NT = samples.tokens_SQGT.reshape(Q * G, T).cpu()
        self.lengths_N = samples.lengths_SQG.reshape(Q * G).cpu()
        self.pad, self.device = pad, device

    def __len__(self) -> int:
        return len(self.prompts)

    def table(self) -> Tensor:
        """Zeros (N, T), float64, on the device."""
        return torch.zeros(self.tokens_NT.shape, dtype=torch.float64, device=self.device)

    def mask(self) -> Tensor:
        """Which places (N, T) hold a response token, bool."""
        return torch.arange(self.tokens_NT.shape[1]) < self.lengths_N[:, None]

    def order(self, chosen: Sequence[int]) -> list[int]:
        """Rows, longest first; rows of one length keep their order."""
        lengths = self.lengths_N.tolist()
        return sorted(chosen, key=lambda n: -(len(self.prompts[n]) + lengths[n]))

    def micro_batch(self, chosen: Sequence[int], idle: bool = False) -> MicroBatch:
        """The input of some rows."""
        lengths_n = self.lengths_N[list(chosen)]
        starts_n = torch.tensor([len(self.prompts[n]) for n in chosen])
        ids = torch.full((len(chosen), int((starts_n + lengths_n).max()) - 1), self.pad)
        for i, n in enumerate(chosen):
            start, length = int(starts_n[i]), int(lengths_n[i])
            ids[i, :start] = torch.as_tensor(self.prompts[n])
            ids[i, start : start + length - 1] = self.tokens_NT[n, : length - 1]
        row = torch.repeat_interleave(torch.arange(len(chosen)), lengths_n)
        column = torch.cat([torch.arange(int(length)) for length in lengths_n])
        index = torch.tensor(list(chosen))
        return MicroBatch(
            index_n=index.to(self.device),
            ids_nL=ids.to(self.device),
            row_R=row.to(self.device),
            place_R=(starts_n[row] - 1 + column).to(self.device),
            column_R=column.to(self.device),
            targets_R=self.tokens_NT[index[row], column].to(self.device),
            idle=idle,
        )


class Scorer(nn.Module):
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
