"""A module of transformers seen from the sampler: logits of prompts, then of one more token per row.

Where every layer attends to all that went before, masks are built once per batch and handed over whole; other
models (sliding windows, position biases) build theirs from the rows' pads.

Keys and values stand in a static cache, allocated once and seen up to where it is filled: one tensor each per
layer, (N, H, L, D). Sliding windows are the mask's business: every layer keeps every position. Rows can be
dropped, and a prompt's entries can be copied to all its rollouts.

On a GPU decoding steps are replayed as CUDA graphs, so that a token costs its kernels and no Python. There is
one graph per window: the number of positions that attention is given grows in steps of `WINDOW`, positions
not filled yet are hidden by the mask. Weights are read where they stand, so an optimiser that changes them in
place is seen; graphs live for one batch of rows. Graphs were never run on a GPU so far;
`tests/agreement/test_llm_cached.py` compares them with plain steps where there is one.

It stands alone since transformers' cache and attention interfaces are met here and nowhere else.

Axes: U prompts, N rows, P prompt tokens, H key-value heads, L positions, D channels, V vocabulary.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, CacheLayerMixin

from banditrft.errors import InputError
from llm_runs.engines import rows

LAYERS = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
HIDDEN = float("-inf")
Step = Callable[[Tensor, Tensor, int], Tensor]
"""step(tokens_N, positions_N, at): logits (N, V) after tokens that stand at `at` in the cache."""


class CachedModel:
    """A causal language model, run with a `RowCache`.

    Args:
        module: The model; a wrapper for adapters is taken off, the adapters act.
        dtype: Of the forward passes; weights of another type are cast under autocast.

    Raises:
        InputError: a layer keeps a state that is no key-value cache.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        self.module = module
        self.dtype = dtype
        wrapped: Any = module
        self.inner: Any = wrapped.get_base_model() if hasattr(module, "get_base_model") else module
        self.config: Any = cast(Any, self.inner).config.get_text_config()
        kinds = set(getattr(self.config, "layer_types", None) or ["full_attention"])
        if not kinds <= LAYERS or getattr(self.inner, "_is_stateful", False):
            raise InputError(
                f"engine: 'torch' samples models with key-value caches, not {self.config.model_type} "
                f"({', '.join(sorted(kinds - LAYERS)) or 'recurrent state'}); use 'vllm'"
            )
        listed = getattr(self.config, "layer_types", None) is not None
        self.plain = (
            kinds == {"full_attention"}
            and (listed or getattr(self.config, "sliding_window", None) is None)
            and bool(getattr(self.inner, "_supports_attention_backend", False))
        )
        self.takes = frozenset(inspect.signature(self.inner.forward).parameters)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    @property
    def kept(self) -> float:
        """A batch is made smaller once no more than this share of its rows go on (graphs are made anew)."""
        return 0.5 if self.device.type == "cuda" else 0.875

    @property
    def layers(self) -> int:
        """Number of layers."""
        return int(self.config.num_hidden_layers)

    @contextlib.contextmanager
    def sampling(self) -> Iterator[None]:
        """Forward passes inside are those of sampling: no gradients or checkpointing, the dtype asked for."""
        training, attention = self.module.training, self.config._attn_implementation
        cast = next(self.module.parameters()).dtype != self.dtype
        self.module.train(mode=False)
        if self.plain and attention == "sdpa" and self.device.type == "cpu" and self.dtype in rows.TYPES:
            self.config._attn_implementation = rows.NAME
        try:
            with torch.no_grad(), torch.autocast(self.device.type, self.dtype, enabled=cast):
                yield
        finally:
            self.config._attn_implementation = attention
            self.module.train(mode=training)

    def mask(self, pads_N: Tensor, capacity: int) -> Tensor:
        """Which positions a row's next token may see, once they are filled.

        Returns:
            Additive (N, 1, 1, L) where masks are handed over whole, else int64 (N, L), 0 for pads.
        """
        seen = torch.arange(capacity, device=pads_N.device) >= pads_N[:, None]
        return self._additive(seen[:, None, None]) if self.plain else seen.long()

    def prefill(self, ids_UP: Tensor, pads_U: Tensor, cache: RowCache) -> Tensor:
        """Logits (U, V) after prompts padded on the left; their keys and values go to the cache."""
        P = ids_UP.shape[1]
        at = torch.arange(P, device=ids_UP.device)
        seen = at >= pads_U[:, None]
        if self.plain:
            causal = (at <= at[:, None]) & seen[:, None] | torch.eye(P, dtype=torch.bool, device=at.device)
            mask = self._additive(causal[:, None])
        else:
            mask = seen.long()
        cache.move_to(0, P)
        return self.run(ids_UP, (at - pads_U[:, None]).clamp_(min=0), mask, cache)

    def steps(self, cache: RowCache, mask: Tensor, filled: int) -> Step:
        """What takes one more token per row: plain calls, on a GPU replayed graphs."""
        if self.plain and self.device.type == "cuda":
            return GraphedStep(self, cache, mask, filled)

        def step(tokens_N: Tensor, positions_N: Tensor, at: int) -> Tensor:
            cache.move_to(at, at + 1)
            return self.run(tokens_N[:, None], positions_N[:, None], mask[..., : at + 1], cache)

        return step

    def run(self, ids: Tensor, positions: Tensor, mask: Tensor, cache: RowCache) -> Tensor:
        """Logits (N, V) after the last of some tokens (N, .), whose keys and values go to the cache."""
        extra: dict[str, Any] = {}
        if "position_ids" in self.takes:
            extra["position_ids"] = positions
        if "logits_to_keep" in self.takes:
            extra["logits_to_keep"] = 1
        out = self.inner(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **extra
        ).logits[:, -1]
        return out if out.dtype == torch.float64 else out.float()  # type: ignore[no-any-return]

    def _additive(self, seen: Tensor) -> Tensor:
        return torch.zeros((), dtype=self.dtype, device=seen.device).where(seen, HIDDEN)


class LayerCache(CacheLayerMixin):
    """Keys and values of one layer.

    Attributes:
        capacity: Positions L that are allocated.
        at: Position of the next token; an int64 tensor of one element where a CUDA graph is to read it.
        seen: Positions that attention is given.
    """

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity
        self.at: int | Tensor = 0
        self.seen = capacity

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate for as many rows and heads as the first keys and values have."""
        N, H = key_states.shape[:2]
        self.keys = key_states.new_zeros(N, H, self.capacity, key_states.shape[-1])
        self.values = value_states.new_zeros(N, H, self.capacity, value_states.shape[-1])
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store tokens at `at` and return what attention is given."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if isinstance(self.at, Tensor):
            self.keys.index_copy_(2, self.at, key_states)
            self.values.index_copy_(2, self.at, value_states)
        else:
            end = self.at + key_states.shape[2]
            self.keys[:, :, self.at : end] = key_states
            self.values[:, :, self.at : end] = value_states
        return self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Positions that attention is given, and the first of them."""
        return self.seen, 0

    def get_seq_length(self) -> Any:
        """Position of the next token."""
        return self.at

    def get_max_length(self) -> int:
        """Positions that are allocated."""
        return self.capacity


class RowCache(Cache):
    """The cache of all layers.

    Args:
        layers: Number of layers.
        capacity: Positions L.
    """

    def __init__(self, layers: int, capacity: int) -> None:
        self.rows = [LayerCache(capacity) for _ in range(layers)]
        super().__init__(layers=cast(Any, self.rows))  # type: ignore[no-untyped-call, unused-ignore]

    def move_to(self, at: int | Tensor, seen: int) -> None:
        """The next tokens stand from `at` on; attention is given the first `seen` positions."""
        for layer in self.rows:
            layer.at, layer.seen = at, seen

    def expanded(self, index_N: Tensor, capacity: int) -> RowCache:
        """A larger cache whose rows start as rows `index_N` of this one, which is full."""
        other = RowCache(len(self.rows), capacity)
        for old, new in zip(self.rows, other.rows, strict=True):
            keys, values = old.keys.index_select(0, index_N), old.values.index_select(0, index_N)
            new.lazy_initialization(keys, values)
            new.keys[:, :, : old.capacity], new.values[:, :, : old.capacity] = keys, values
        return other

    def keep(self, index_N: Tensor, filled: int) -> None:
        """Drop all rows but `index_N`, which rise; `filled` positions hold tokens."""
        for layer in self.rows:
            keys, values = (x[:, :, :filled].index_select(0, index_N) for x in (layer.keys, layer.values))
            layer.keys, layer.values = layer.keys[: len(index_N)], layer.values[: len(index_N)]
            layer.keys[:, :, :filled], layer.values[:, :, :filled] = keys, values


WINDOW = 128
WARM_UPS = 2


class GraphedStep:
    """One more token for each of N rows of a cache.

    Args:
        policy: The model.
        cache: Its keys and values; stays where it is.
        mask: Additive (N, 1, 1, L), what `CachedModel.mask` returned.
        filled: Positions that hold tokens so far.
    """

    def __init__(self, policy: CachedModel, cache: RowCache, mask: Tensor, filled: int) -> None:
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
