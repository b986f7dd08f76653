"""What this machine lacks of what a language-model world asks for; found without loading torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from banditrft.launch.machine import own_gpus
from banditrft.worlds import LLMWorld
from llm_runs.base_models import BaseModel
from llm_runs.base_models.sizes import sizes_of

DEVICES = ("nvidia[0-9]*", "dxg", "kfd")
"""Files in /dev of GPUs that nvidia-smi may not list."""
VLLM_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Channels of a head that the attention of vLLM 0.32 computes on CPU."""


def gpu_count() -> int | None:
    """GPUs that this process may use; None where there are some but nothing counts them."""
    found = len(own_gpus())
    if not found and shutil.which("nvidia-smi") is None and any(any(Path("/dev").glob(p)) for p in DEVICES):
        return None
    return found


def lacking(world: LLMWorld) -> Iterator[str]:
    """What a world needs that this machine does not have, one line each; another may have it."""
    if world.device == "cpu" or (there := gpu_count()) is None:
        return
    if there == 0 and world.device == "cuda":
        yield "device: no GPU on this machine, got 'cuda'"
        return
    for field in ("tensor_parallel", "shards"):
        asked = getattr(world, field)
        if asked > max(there, 1) and (there or field == "tensor_parallel"):
            yield f"{field}: must be at most {there}, the GPUs of this machine, got {asked}"


def impossible(world: LLMWorld) -> Iterator[str]:
    """What no machine can do, one line each."""
    if world.device == "cpu" and world.tensor_parallel > 1:
        yield f"tensor_parallel: needs GPUs, got {world.tensor_parallel} with device = 'cpu'"


def heads(world: LLMWorld, model: BaseModel) -> Iterator[str]:
    """Why vLLM cannot compute a model's attention on this machine's cores, where it would."""
    if world.engine != "vllm" or world.device == "cuda" or find_spec("vllm") is None:
        return
    if (world.device == "auto" and gpu_count() != 0) or "kv_lora_rank" in model.config:
        return
    size = sizes_of(model)[0].head_dim
    if size not in VLLM_HEADS:
        yield (
            f"engine: on CPU vLLM computes heads of {', '.join(map(str, VLLM_HEADS))} channels, "
            f"got {size} of {model.name}; engine = 'torch' computes any"
        )
