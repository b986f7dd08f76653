"""A module of transformers seen from the sampler: logits of prompts, then of one more token per row.

Where every layer attends to all that went before, masks are built once per batch and handed over whole; other
models (sliding windows, position biases) build theirs from the rows' pads.

Axes: U prompts, N rows, P prompt tokens, L positions, V vocabulary.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from banditrft.errors import InputError
from llm_runs.engines import rows
from llm_runs.engines.cache import RowCache
from llm_runs.engines.graphs import GraphedStep

LAYERS = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
HIDDEN = float("-inf")
Step = Callable[[Tensor, Tensor, int], Tensor]
"""step(tokens_N, positions_N, at): logits (N, V) after tokens that stand at `at` in the cache."""


class Policy:
    """A causal language model, run with a `RowCache`.

    Args:
        module: The model; what wraps it for adapters is looked through, the adapters act.
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
