"""Decoding steps replayed as CUDA graphs, so that a token costs its kernels and no Python.

One graph per window: the number of positions that attention is given grows in steps of `WINDOW`, positions
not filled yet are hidden by the mask. Weights are read where they stand, so an optimiser that changes them in
place is seen; graphs live for one batch of rows. Never run on a GPU so far;
`tests/agreement/test_llm_cached.py` compares it with plain steps where there is one.

Axes: N rows, L positions, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llm_runs.engines.cache import RowCache
    from llm_runs.engines.forward import Policy

WINDOW = 128
WARM_UPS = 2


class GraphedStep:
    """One more token for each of N rows of a cache.

    Args:
        policy: The model.
        cache: Its keys and values; stays where it is.
        mask: Additive (N, 1, 1, L), what `Policy.mask` returned.
        filled: Positions that hold tokens so far.
    """

    def __init__(self, policy: Policy, cache: RowCache, mask: Tensor, filled: int) -> None:
        self.policy, self.cache = policy, cache
        self.mask = mask.clone()
        self.mask[..., filled:] = float("-inf")
        self.tokens_N = torch.zeros(len(mask), dtype=torch.int64, device=mask.device)
        self.positions_N = torch.zeros_like(self.tokens_N)
        self.slot = torch.zeros(1, dtype=torch.int64, device=mask.device)
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self.pool = torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call, unused-ignore]

    def __call__(self, tokens_N: Tensor, positions_N: Tensor, at: int) -> Tensor:
        """Logits (N, V) after tokens that stand at `at`; overwritten by the next call."""
        self.tokens_N.copy_(tokens_N)
        self.positions_N.copy_(positions_N)
        self.slot.fill_(at)
        self.mask[..., at] = 0.0
        window = min(self.mask.shape[-1], (at // WINDOW + 1) * WINDOW)
        if window not in self.graphs:
            self.graphs[window] = self._capture(window)
        graph, logits_NV = self.graphs[window]
        graph.replay()
        return logits_NV

    def _capture(self, window: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        self.cache.move_to(self.slot, window)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call, unused-ignore]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._run(window)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            logits_NV = self._run(window)
        return graph, logits_NV

    def _run(self, window: int) -> Tensor:
        return self.policy.run(
            self.tokens_N[:, None], self.positions_N[:, None], self.mask[..., :window], self.cache
        )
