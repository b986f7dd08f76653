"""A static key-value cache for modules of transformers: allocated once, seen up to where it is filled.

Keys and values of a layer are one tensor each, (N, H, L, D) for N rows. Sliding windows are the mask's
business: every layer keeps every position. Rows can be dropped, and a prompt's entries can be copied to all
its rollouts.

Axes: N rows, H key-value heads, L positions, D channels.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class Rows(CacheLayerMixin):
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
        self.rows = [Rows(capacity) for _ in range(layers)]
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
