"""The responses of a round as rows of a language model's input: sorted, cut into micro-batches, padded.

A row is a prompt and its response, padded on the right: what is causal never sees the padding, so no
attention mask is needed. Rows of similar length share a micro-batch. Only positions that predict a response
token are read out, laid end to end.

Axes: N rows of a replica's round (query by query), n rows of a micro-batch, L their longest input, T response
tokens, R response tokens of a micro-batch laid end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_runs.engines.base import Prompts, Samples


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
