"""Sizes of a decoder, read from its config.json: what estimates of memory and work start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banditrft.errors import InputError
from llm_runs.base_models.model import BaseModel


@dataclass(frozen=True)
class Sizes:
    """Sizes of a decoder, from its config.json.

    Attributes:
        parameters: Number of weights, a tied table once.
        head_dim: Channels of a head.
        kv_heads: Heads of keys and values.
    """

    parameters: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocabulary: int

    @classmethod
    def of(cls, config: Mapping[str, Any], parameters: int | None = None) -> Sizes:
        """Read a configuration; parameters are counted as those of a gated decoder where they are not known.

        Raises:
            InputError: the configuration lacks a size.
        """
        config = config.get("text_config") or config

        def get(*names: str) -> int:
            value = next((config[name] for name in names if config.get(name)), None)
            if value is None:
                raise InputError(f"config.json: {names[0]} is required for an estimate")
            return int(value)

        width, heads = get("hidden_size", "n_embd"), get("num_attention_heads", "n_head")
        feed_forward = int(config.get("intermediate_size") or config.get("n_inner") or 4 * width)
        sizes = cls(
            parameters or 0,
            get("num_hidden_layers", "n_layer"),
            width,
            heads,
            int(config.get("num_key_value_heads") or heads),
            int(config.get("head_dim") or width // heads),
            feed_forward,
            get("vocab_size"),
        )
        if parameters is not None:
            return sizes
        projections = 2 * width * (sizes.heads + sizes.kv_heads) * sizes.head_dim
        tables = (1 if config.get("tie_word_embeddings") else 2) * sizes.vocabulary * width
        counted = sizes.layers * (projections + 3 * width * feed_forward) + tables
        return cls(counted, *list(vars(sizes).values())[1:])

    def cached(self, width: int) -> int:
        """Bytes of one token's keys and values in numbers of `width` bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width

    def activations(self) -> int:
        """Numbers that a layer keeps of one token for the backward pass.

        Inputs of both normalisations and of the products behind them (6 widths), query, key, value, what
        they attend to and its product (5 times the heads), and four of the feed-forward block.
        """
        return 6 * self.width + 5 * self.heads * self.head_dim + 4 * self.feed_forward


def sizes_of(model: BaseModel) -> tuple[Sizes, bool]:
    """A model's sizes, and whether its parameters were counted from its files; else from config.json."""
    try:
        return Sizes.of(model.config, model.parameters), True
    except InputError:
        return Sizes.of(model.config), False
