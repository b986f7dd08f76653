"""Weights that may be sharded over ranks, and their names outside the learner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from banditrft.errors import InputError
from llm_runs.base_models import merged_state


def full(tensor: Tensor) -> Tensor:
    """A tensor whole; for a sharded one all ranks must call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fitted(value: Tensor, like: Tensor) -> Tensor:
    """A copy of a whole tensor on the device and with the shards of another; its own dtype."""
    moved = value.to(like.device, copy=True)
    if not isinstance(like, DTensor):
        return moved
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)


def exported(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights under the names of transformers' files, adapters merged, one after the other.

    Weights that transformers stores otherwise than it computes with (experts) are split up as it stores them.
    """
    if not converted(module):
        yield from ((name, full(tensor)) for name, tensor in merged_state(module))
        return
    from transformers.core_model_loading import revert_weight_conversion

    yield from revert_weight_conversion(_model(module), dict(merged_state(module))).items()


def converted(module: nn.Module) -> bool:
    """Whether transformers stores a model's weights otherwise than it computes with."""
    from transformers.conversion_mapping import get_model_conversion_mapping

    loaded = getattr(_model(module), "_weight_conversions", None)
    return bool(get_model_conversion_mapping(_model(module), add_legacy=False) if loaded is None else loaded)


@torch.no_grad()
def take(module: nn.Module, content: bytes) -> None:
    """Overwrite a module's weights by those of a safetensors file that `exported` filled.

    Adapters are merged there: the weights become what adapters are added to, and the adapters 0.

    Raises:
        InputError: damaged, or another model's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(content)
    except SafetensorError as error:
        raise InputError(f"checkpoint: damaged ({error})") from None
    shapes = {name: tensor.shape for name, tensor in exported(module)}
    if shapes != {name: tensor.shape for name, tensor in state.items()}:
        raise InputError("checkpoint: not of this model (names or shapes of weights differ)")
    if converted(module):
        model = _model(module)
        state = type(model).from_pretrained(None, config=model.config, state_dict=state).state_dict()
    for name, tensor in module.state_dict().items():
        plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        if ".lora_B." in name or ".lora_embedding_B." in name:
            tensor.zero_()
        elif plain in state:
            tensor.copy_(fitted(state[plain].to(tensor.dtype), tensor))


def _model(module: nn.Module) -> Any:
    """The model of transformers, without the wrapper of adapters."""
    unwrap = getattr(module, "get_base_model", None)
    return module if unwrap is None else unwrap()
