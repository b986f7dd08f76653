"""Which models the stacked program computes, and how their weights map onto its tensors.

Three architectures of transformers are understood: Qwen2 (biases on query, key, value), Llama (none) and
OLMo2 (normalisation after each block, and of queries and keys). Per replica and layer the stacked program
holds fewer, fused tensors, stored (in, out); query and key channels are reordered so that rotary pairs lie
side by side. This is a permutation of coordinates: optimisers that act on coordinates (SGD, Adam) do not
notice it. No arithmetic happens here, and no torch is
loaded before weights are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs.base_models import WEIGHTS, BaseModel, complete, files_of, sizes_of

if TYPE_CHECKING:
    from torch import Tensor


KINDS = ("qwen2", "llama", "olmo2")
LANES = 16
"""Every tensor's size must be a multiple of this, so that no element falls into the tail of a vector loop."""


@dataclass(frozen=True)
class Architecture:
    """Shape and variant of a decoder; `kind` is transformers' `model_type`."""

    kind: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    head_dim: int
    feed_forward: int
    eps: float
    rope_theta: float
    positions: int
    pad: int | None

    @property
    def qkv_bias(self) -> bool:
        """Biases on query, key and value projections (Qwen2)."""
        return self.kind == "qwen2"

    @property
    def post_norm(self) -> bool:
        """Normalisation after each block and of queries and keys, none before (OLMo2)."""
        return self.kind == "olmo2"

    @classmethod
    def of(cls, config: Mapping[str, Any], where: str) -> Architecture:
        """Read a transformers `config.json`.

        Args:
            config: Its contents.
            where: Named in errors.

        Raises:
            InputError: an architecture or a variant that the stacked program does not compute.
        """
        kind = config.get("model_type")
        if kind not in KINDS:
            raise InputError(f"{where}: model_type must be one of {', '.join(KINDS)}, got {kind!r}")
        try:
            heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
            rope = config.get("rope_parameters") or {
                "rope_theta": config["rope_theta"],
                "rope_type": "default",
            }
            arch = cls(
                kind=str(kind),
                vocabulary=int(config["vocab_size"]),
                width=width,
                layers=int(config["num_hidden_layers"]),
                heads=heads,
                head_dim=int(config.get("head_dim") or width // heads),
                feed_forward=int(config["intermediate_size"]),
                eps=float(config["rms_norm_eps"]),
                rope_theta=float(rope["rope_theta"]),
                positions=int(config["max_position_embeddings"]),
                pad=config.get("pad_token_id"),
            )
        except KeyError as error:
            raise InputError(f"{where}: {error.args[0]} is required") from None
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise InputError(f"{where}: not a configuration of a {kind} ({error})") from None
        wanted: dict[str, tuple[Any, ...]] = {
            "num_key_value_heads": (heads, None),
            "tie_word_embeddings": (False,),
            "hidden_act": ("silu",),
            "attention_bias": (False, None),
            "mlp_bias": (False, None),
            "use_sliding_window": (False, None),
            "rope_scaling": (None,),
        }
        for key, values in wanted.items():
            if config.get(key) not in values:
                raise InputError(f"{where}: {key} must be {values[0]!r}, got {config.get(key)!r}")
        if rope.get("rope_type", "default") != "default":
            raise InputError(f"{where}: rope_type must be 'default', got {rope.get('rope_type')!r}")
        if arch.width % LANES or arch.feed_forward % LANES or (arch.heads * arch.head_dim) % LANES:
            raise InputError(
                f"{where}: hidden_size, intermediate_size and heads x head_dim must be multiples of {LANES}"
            )
        return arch


def _paired(arch: Architecture, weight: Tensor) -> Tensor:
    """Channels (heads x head_dim first) reordered: rotary partners i and i + head_dim/2 become neighbours."""
    rest = weight.shape[1:]
    split = weight.reshape(arch.heads, 2, arch.head_dim // 2, *rest)
    return split.transpose(1, 2).reshape(-1, *rest)


def _unpaired(arch: Architecture, weight: Tensor) -> Tensor:
    """Inverse of `_paired`."""
    rest = weight.shape[1:]
    split = weight.reshape(arch.heads, arch.head_dim // 2, 2, *rest)
    return split.transpose(1, 2).reshape(-1, *rest)


def packed_shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that `pack` returns."""
    W, F, V, HD = arch.width, arch.feed_forward, arch.vocabulary, arch.heads * arch.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "qkv": (W, 3 * HD),
        "out": (HD, W),
        "gate_up": (W, 2 * F),
        "down": (F, W),
        "norm1": (W,),
        "norm2": (W,),
    }
    if arch.qkv_bias:
        layer["bias"] = (3 * HD,)
    if arch.post_norm:
        layer |= {"q_norm": (HD,), "k_norm": (HD,)}
    layers = {f"{i}.{name}": shape for i in range(arch.layers) for name, shape in layer.items()}
    return {"embed": (V, W), **layers, "norm": (W,), "head": (W, V)}


def pack(arch: Architecture, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of one model, from transformers' names and layout to the stacked program's.

    Returns:
        Tensors without a replica axis: "embed" (V, W), per layer i "i.qkv" (W, 3HD), "i.out" (HD, W),
        "i.gate_up" (W, 2F), "i.down" (F, W), "i.norm1", "i.norm2" (W), for Qwen2 "i.bias" (3HD), for OLMo2
        "i.q_norm", "i.k_norm" (HD); "norm" (W), "head" (W, V).
    """
    import torch

    out: dict[str, Tensor] = {"embed": state["model.embed_tokens.weight"].clone()}
    for i in range(arch.layers):
        at = f"model.layers.{i}."
        attention, mlp = at + "self_attn.", at + "mlp."
        query, key = (_paired(arch, state[f"{attention}{n}_proj.weight"]) for n in "qk")
        out[f"{i}.qkv"] = torch.cat([query, key, state[attention + "v_proj.weight"]]).T.contiguous()
        if arch.qkv_bias:
            query, key = (_paired(arch, state[f"{attention}{n}_proj.bias"]) for n in "qk")
            out[f"{i}.bias"] = torch.cat([query, key, state[attention + "v_proj.bias"]])
        if arch.post_norm:
            for n in "qk":
                out[f"{i}.{n}_norm"] = _paired(arch, state[f"{attention}{n}_norm.weight"])
        out[f"{i}.out"] = state[attention + "o_proj.weight"].T.contiguous()
        out[f"{i}.gate_up"] = torch.cat(
            [state[mlp + "gate_proj.weight"], state[mlp + "up_proj.weight"]]
        ).T.contiguous()
        out[f"{i}.down"] = state[mlp + "down_proj.weight"].T.contiguous()
        for ours, theirs in norm_names(arch):
            out[f"{i}.{ours}"] = state[f"{at}{theirs}.weight"].clone()
    out["norm"] = state["model.norm.weight"].clone()
    out["head"] = state["lm_head.weight"].T.contiguous()
    return out


def norm_names(arch: Architecture) -> tuple[tuple[str, str], tuple[str, str]]:
    """Our and transformers' names of the two normalisations of a layer: attention's and the MLP's."""
    if arch.post_norm:
        return ("norm1", "post_attention_layernorm"), ("norm2", "post_feedforward_layernorm")
    return ("norm1", "input_layernorm"), ("norm2", "post_attention_layernorm")


def unpack(arch: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of `pack`: one model's weights under transformers' names, contiguous."""
    out: dict[str, Tensor] = {"model.embed_tokens.weight": weights["embed"]}
    for i in range(arch.layers):
        at = f"model.layers.{i}."
        attention, mlp = at + "self_attn.", at + "mlp."
        parts = dict(zip("qkv", weights[f"{i}.qkv"].T.chunk(3), strict=True))
        biases = dict(zip("qkv", weights[f"{i}.bias"].chunk(3), strict=True)) if arch.qkv_bias else {}
        for n in "qkv":
            turn = _unpaired if n in "qk" else lambda _, weight: weight
            out[f"{attention}{n}_proj.weight"] = turn(arch, parts[n])
            if arch.qkv_bias:
                out[f"{attention}{n}_proj.bias"] = turn(arch, biases[n])
            if arch.post_norm and n in "qk":
                out[f"{attention}{n}_norm.weight"] = _unpaired(arch, weights[f"{i}.{n}_norm"])
        out[attention + "o_proj.weight"] = weights[f"{i}.out"].T
        gate, up = weights[f"{i}.gate_up"].T.chunk(2)
        out[mlp + "gate_proj.weight"], out[mlp + "up_proj.weight"] = gate, up
        out[mlp + "down_proj.weight"] = weights[f"{i}.down"].T
        for ours, theirs in norm_names(arch):
            out[f"{at}{theirs}.weight"] = weights[f"{i}.{ours}"]
    out["model.norm.weight"] = weights["norm"]
    out["lm_head.weight"] = weights["head"].T
    return {name: tensor.detach().clone().contiguous() for name, tensor in out.items()}


STACKED = 20_000_000
"""Largest number of weights of a model whose runs are stacked. The stacked program cuts rounds up in its own
way, whatever `micro_batch` and `gradient_checkpointing` say, and holds weights, gradients and moments of all
of its runs: larger models need what the module learner does to save memory."""


def architecture_of(model: BaseModel) -> Architecture:
    """What the stacked program needs to know of a model.

    Raises:
        InputError: The stacked program does not compute it.
    """
    try:
        return Architecture.of(model.config, str(model.folder / "config.json"))
    except InputError as error:
        raise InputError(f"model {model.name}: the stacked program does not compute it ({error})") from None


def stacks(world: LLMWorld, model: BaseModel, device: Literal["cpu", "cuda"]) -> bool:
    """Whether several runs of a world on a device can be one tensor program.

    Args:
        world: Its dtype, lora and shards are read.
        model: Its model; one of the program's architectures, in one file, of at most `STACKED` weights.
        device: Where the learner computes.
    """
    plain = world.dtype == "float32" and world.lora is None and world.shards == 1 and device == "cpu"
    if not plain:
        return False
    try:
        architecture_of(model)
    except InputError:
        return False
    files = files_of(model.folder) if complete(model.folder) else ()
    return len(files) < 2 and sizes_of(model)[0].parameters <= STACKED


def weights_of(model: BaseModel) -> dict[str, Tensor]:
    """A model's weights in the stacked program's layout, without a replica axis, float32.

    Raises:
        InputError: The stacked program does not compute it, or its file is damaged or does not fit
            config.json.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    arch = architecture_of(model)
    if len(model.weight_files) > 1:
        raise InputError(f"model {model.name}: the stacked program reads one {WEIGHTS}, got an index")
    path = model.weight_files[0]
    try:
        state = {name: tensor.float() for name, tensor in load_file(path).items()}
        packed = pack(arch, state)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{path}: not the weights of this {arch.kind} ({type(error).__name__}: {error})"
        ) from None
    shapes = {name: tuple(tensor.shape) for name, tensor in packed.items()}
    if shapes != packed_shapes(arch) or state.keys() != unpack(arch, packed).keys():
        raise InputError(
            f"{path}: not the weights of this {arch.kind} (sizes or layers differ from config.json)"
        )
    return packed
