"""Base models: the tiny ones shipped with the package, a folder of transformers, or one of the hub.

`modules` opens them as torch modules; nothing else here loads torch.
"""

from llm_runs.base_models.model import (
    MODELS,
    SHIPPED,
    BaseModel,
    check_fits,
    find_model,
    shipped_models,
    weights_hash,
)

__all__ = [
    "MODELS",
    "SHIPPED",
    "BaseModel",
    "check_fits",
    "find_model",
    "shipped_models",
    "weights_hash",
]
