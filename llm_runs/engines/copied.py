"""The torch engine of a sharded learner: it samples from a whole copy of the weights, on one device.

A module whose weights are sharded cannot be sampled by one process, so each push gathers the weights into the
copy. That is simple and needs a device which holds the whole model: it is for tests and for models that are
sharded for the sake of their optimiser's state. Models that outgrow one GPU are sampled by vLLM,
tensor-parallel. Never run on a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from llm_runs.base_models.hub import load_module, merged_state
from llm_runs.engines.base import Limits
from llm_runs.engines.cached import CachedEngine
from llm_runs.engines.forward import Policy

if TYPE_CHECKING:
    from llm_runs.base_models import BaseModel
    from llm_runs.learners.base import Learner


class CopiedEngine(CachedEngine):
    """A `CachedEngine` with weights of its own.

    Args:
        model: The model; its weights are only what the copy starts with, those sampled come by `push`.
        limits: Shapes and stops.
        dtype: Of the copy and its forward passes.
        device: Where the copy is.

    Raises:
        InputError: transformers cannot load the model, or it keeps a state that is no key-value cache.
    """

    def __init__(self, model: BaseModel, limits: Limits, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(limits, dtype=dtype)
        module = load_module(model, dtype=dtype, device=device, trainable=False)
        self._copy, self._weights = Policy(module, dtype), dict(merged_state(module))

    @torch.no_grad()
    def push(self, learner: Learner) -> None:
        """Copy the learner's weights of now."""
        for name, tensor in learner.named_weights(0):
            self._weights[name].copy_(tensor)
        self._policy = self._copy

    def close(self) -> None:
        """Let go of the copy."""
        super().close()
        self._weights = {}
