"""Tiny causal language models of several architectures with random weights, as modules and as folders."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

V = 40
COMMON = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
BLOOM = {"hidden_size": 32, "n_layer": 2, "n_head": 4}
CONFIGS = {
    "qwen2": ("qwen2", SIZES),
    "llama": ("llama", SIZES),
    "olmo2": ("olmo2", SIZES),
    "grouped and tied": ("qwen2", SIZES | {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", SIZES | {"num_key_value_heads": 1, "head_dim": 16}),
    "sliding window": (
        "gemma3_text",
        SIZES
        | {
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
            "tie_word_embeddings": True,
        },
    ),
    "gpt2": ("gpt2", GPT2),
    "position bias": ("bloom", BLOOM),
}


def random_model(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> PreTrainedModel:
    """A model of `CONFIGS` with noise on every weight, large enough for its choices to matter."""
    kind, sizes = CONFIGS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AutoConfig.for_model(kind, **COMMON, **sizes)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn(parameter.shape)
    return model.to(dtype).eval()


def saved(name: str, folder: Path, **settings: object) -> Path:
    """A random model written as transformers writes it."""
    random_model(name).save_pretrained(folder, **settings)
    return folder


class Held:
    """What an engine asks of a learner of one module."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
