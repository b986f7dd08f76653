"""Models of transformers as torch modules: loaded, with adapters, and read out again.

Only safetensors and JSON files are read; code that comes with a model is not run. transformers chooses the
attention (torch's scaled_dot_product_attention wherever a model has it). Every dropout is 0: the policy that
is trained is the one that is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from banditrft.errors import InputError
from llm_runs.base_models.hub import brief
from llm_runs.base_models.model import BaseModel

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from banditrft.worlds.llm import Lora


def load_module(
    model: BaseModel,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    lora: Lora | None = None,
    gradient_checkpointing: bool = False,
    trainable: bool = True,
) -> nn.Module:
    """Load a model through transformers.

    Args:
        model: The model (`find_model`).
        dtype: Of the weights; adapters are float32 whatever it is.
        device: Where the weights go.
        lora: Adapters to train in place of the weights; needs peft.
        gradient_checkpointing: Keep only the layers' inputs for the backward pass.
        trainable: Whether anything requires gradients.

    Returns:
        The causal language model, without dropout; a `PeftModel` around it where `lora` is given. In training
        mode exactly when its gradients are checkpointed, as transformers asks.

    Raises:
        InputError: transformers does not know the model, its files do not fit its configuration, or peft is
            missing.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    _ = model.weight_files  # fetched, and safetensors
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(model.folder, **local)
        for key, value in config.to_dict().items():
            if key.endswith(("dropout", "pdrop", "dropout_prob")) and isinstance(value, float):
                setattr(config, key, 0.0)
        with _no_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                model.folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                **local,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise InputError(f"model {model.name}: transformers cannot load it ({brief(error)})") from None
    module: nn.Module = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    if missing:
        raise InputError(f"model {model.name}: its files lack {len(missing)} weights, first {missing[0]}")
    foreign = sorted(key for key in loaded[1]["unexpected_keys"] if key.endswith(".weight"))
    if foreign:
        raise InputError(
            f"model {model.name}: its files hold {len(foreign)} weights that its configuration has no place "
            f"for, first {foreign[0]}"
        )
    module = module.to(device).requires_grad_(trainable)
    if lora is not None:
        module = _with_adapters(module, lora, model.name, trainable)
    if gradient_checkpointing:
        cast(Any, module).gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )
    return module.train(gradient_checkpointing)


def merged_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights under transformers' names, with adapters merged, one after the other; the module is unchanged.

    A tied table comes once, under the embedding's name. Tensors are detached; those that no adapter touches
    share memory with the module. Those that one does are summed in float32 (or the module's wider type) and
    come in it, so that who copies them into another type rounds once.

    Args:
        module: What `load_module` returned.
    """
    import torch

    adapted = ((name, layer) for name, layer in module.named_modules() if hasattr(layer, "lora_A"))
    merged: dict[str, Any] = {f"{name}.base_layer.weight": layer for name, layer in adapted}
    seen: set[int] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) in seen or ".lora_" in name:
            continue
        seen.add(id(tensor))
        value = tensor.detach()
        if name in merged:
            layer = merged[name]
            value = value.to(torch.promote_types(value.dtype, torch.float32))
            for adapter in layer.active_adapters:
                value = value + layer.get_delta_weight(adapter).detach().to(value.dtype)
        yield name.removeprefix("base_model.model.").replace(".base_layer.", "."), value


@contextmanager
def _no_bars() -> Iterator[None]:
    """Load without a progress bar, whose lock outlives a process that is ended."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _with_adapters(module: nn.Module, lora: Lora, name: str, trainable: bool) -> nn.Module:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise InputError("lora: needs peft; install it with: pip install 'banditrft[lora]'") from None
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=cast(Any, lora.alpha),
        target_modules=list(lora.targets) if lora.targets else "all-linear",
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        wrapped: nn.Module = get_peft_model(module, settings)
    except ValueError as error:
        raise InputError(f"lora.targets: {name} has no such modules ({brief(error)})") from None
    _refuse_tied(cast(Any, wrapped).get_base_model(), name)
    if not trainable:
        wrapped.requires_grad_(False)
    return wrapped


def _refuse_tied(model: Any, name: str) -> None:
    """Refuse adapters on an end of a tied table: merged, they would move the other end as well."""
    ends = [end for end in (model.get_input_embeddings(), model.get_output_embeddings()) if end is not None]
    tied = len(ends) == 2 and ends[0].weight is ends[1].weight
    if tied and any(hasattr(end, "lora_A") for end in ends):
        raise InputError(
            f"lora.targets: {name} reads and writes with one table of tokens, which adapters on one of its "
            f"ends would part; leave out the embedding and the output layer"
        )
