"""Base models: the tiny ones shipped with the package, a folder of transformers, or one of the hub.

They are known by their configuration (`find_model`); `load_module` opens one as a torch module, and nothing
else here loads torch.
"""

from llm_runs.base_models.files import WEIGHTS, complete, files_of
from llm_runs.base_models.model import (
    MODELS,
    SHIPPED,
    BaseModel,
    check_fits,
    find_model,
    shipped_models,
    weights_hash,
)
from llm_runs.base_models.modules import load_module, merged_state
from llm_runs.base_models.sizes import Sizes, sizes_of

__all__ = [
    "MODELS",
    "SHIPPED",
    "WEIGHTS",
    "BaseModel",
    "Sizes",
    "check_fits",
    "complete",
    "files_of",
    "find_model",
    "load_module",
    "merged_state",
    "shipped_models",
    "sizes_of",
    "weights_hash",
]
