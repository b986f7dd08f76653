"""A base model: one of the tiny ones shipped with the package, a folder of transformers, or a hub name.

`find_model` reads the configuration and nothing else; weights are read when asked for, and only from
safetensors files. Shipped models stand in `llm_runs/models/<name>/` with `provenance.json` beside the weights
(`llm_runs.pretraining` says how they were made). No torch here until tensors are asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from banditrft.errors import InputError
from llm_runs.network.architecture import Architecture, pack, packed_shapes, unpack
from llm_runs.weight_files import WEIGHTS, complete, files_of, hash_of, shapes_of

if TYPE_CHECKING:
    from torch import Tensor

MODELS = Path(__file__).parent / "models"
SHIPPED = tuple(sorted(path.parent.name for path in MODELS.glob("*/provenance.json")))
CAUSAL = ("ForCausalLM", "LMHeadModel")
DEFINING = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "*.jinja",
    "vocab.*",
    "merges.txt",
)
"""Files beside the weights that decide what a model samples."""


@dataclass(frozen=True)
class BaseModel:
    """A causal language model, known by its configuration.

    Attributes:
        name: Shipped name, folder or hub name, as given.
        folder: Where its files stand; of a hub model the weights arrive with the first `weight_files`.
        config: Contents of `config.json`.
        arch: What the stacked program needs to know; None where it does not compute this model.
        reason: Why `arch` is None; empty where it is not.
        revision: Commit of a hub model, else None.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    arch: Architecture | None
    reason: str = ""
    revision: str | None = None

    @property
    def kind(self) -> str:
        """The `model_type` of transformers."""
        return str(self.config["model_type"])

    @property
    def positions(self) -> int | None:
        """Longest sequence in tokens; None where the configuration sets no limit."""
        found = self.config.get("max_position_embeddings", self.config.get("n_positions"))
        return None if found is None else int(found)

    @property
    def tied(self) -> bool:
        """Whether the output layer is the embedding table."""
        return bool(self.config.get("tie_word_embeddings", self.kind == "gpt2"))

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The safetensors files, in order of name; fetched first where a hub model lacks them.

        Raises:
            InputError: none, pickled weights only, an index that names files that are not there, or no hub.
        """
        if self.revision is not None and not complete(self.folder):
            from llm_runs.hub import download

            download(self.name, self.revision)
        return files_of(self.folder)

    @cached_property
    def weights_sha256(self) -> str:
        """sha256 of the weights, hex: of the one file, or of the lines "name sha256" of several."""
        if len(self.weight_files) == 1:
            return hash_of(self.weight_files[0])
        lines = "".join(f"{path.name} {hash_of(path)}\n" for path in self.weight_files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @cached_property
    def identity(self) -> str:
        """Hash of what a run's records depend on, hex.

        The weights; of a model that is not shipped also configuration, tokenizer, chat template, end tokens.
        """
        if self.name in SHIPPED:
            return self.weights_sha256
        found = sorted(path for pattern in DEFINING for path in self.folder.glob(pattern))
        lines = "".join(f"{path.name} {hash_of(path)}\n" for path in found)
        return hashlib.sha256(f"{self.weights_sha256}\n{lines}".encode()).hexdigest()

    @cached_property
    def parameters(self) -> int:
        """Number of parameters that the weights' files hold, a tied table once.

        Of a hub model whose weights are not here yet the hub is asked for the headers alone.

        Raises:
            InputError: the files are missing or damaged, or the hub cannot be reached.
        """
        if self.revision is not None and not complete(self.folder):
            from llm_runs.hub import remote_parameters

            return remote_parameters(self.name, self.revision)
        shapes = {name: shape for path in self.weight_files for name, shape in shapes_of(path).items()}
        if self.tied and len(shapes) > 1:
            shapes.pop("lm_head.weight", None)
        return sum(math.prod(shape) for shape in shapes.values())

    def weights(self) -> dict[str, Tensor]:
        """The weights in the stacked program's layout, without a replica axis, float32.

        Raises:
            InputError: the stacked program does not compute this model, or its files do not fit config.json.
        """
        if self.arch is None:
            raise InputError(f"model {self.name}: the stacked program does not compute it ({self.reason})")
        if len(self.weight_files) > 1:
            raise InputError(f"model {self.name}: the stacked program reads one {WEIGHTS}, got an index")
        return read_weights(self.arch, self.weight_files[0])


def find_model(name: str, revision: str | None = None) -> BaseModel:
    """Find a model by shipped name, folder or name on the Hugging Face hub, and read its configuration.

    Args:
        name: A shipped name; else a folder with config.json and safetensors files; else ORG/NAME on the hub,
            of which only the small files are fetched here (or taken from the hub's cache when offline).
        revision: Commit, branch or tag on the hub.

    Raises:
        InputError: there is no such model, it is no causal language model, its weights are pickled only, or
            the hub cannot be reached and its cache does not hold it.
    """
    folder, commit = MODELS / name, None
    if name not in SHIPPED:
        folder = Path(name)
        if not folder.is_dir():
            folder = _from_hub(name, revision)
            commit = folder.name
    if revision is not None and commit is None:
        raise InputError(f"revision: only a model on the hub has one, got {revision!r} for {name}")
    if not (folder / "config.json").is_file():
        raise InputError(f"model: {folder}: must hold config.json and {WEIGHTS}")
    config = _configuration(folder / "config.json")
    if commit is None:
        files_of(folder)
    try:
        arch, reason = Architecture.of(config, str(folder / "config.json")), ""
    except InputError as error:
        arch, reason = None, str(error)
    return BaseModel(name, folder, config, arch, reason, commit)


def check_fits(model: BaseModel, *, prompt_max: int, max_new: int, tokens: int) -> None:
    """Check that a model can read a task's longest prompt and write its longest response.

    Args:
        model: The model.
        prompt_max: Longest prompt, tokens.
        max_new: Longest response, tokens.
        tokens: Size of the tokenizer's vocabulary.

    Raises:
        InputError: too few positions, or tokens without an embedding.
    """
    if model.positions is not None and model.positions < prompt_max + max_new:
        raise InputError(
            f"prompt_max, max_new: together must be at most {model.positions}, the positions of "
            f"{model.name}, got {prompt_max} + {max_new}"
        )
    rows = int(model.config.get("vocab_size", tokens))
    if rows < tokens:
        raise InputError(
            f"model: vocab_size of {model.name} must be at least {tokens}, the tokenizer's size, got {rows}"
        )


def read_weights(arch: Architecture, path: Path) -> dict[str, Tensor]:
    """Read a safetensors file under transformers' names into the stacked program's layout.

    Raises:
        InputError: the file is damaged or does not fit the architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

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


def shipped_models() -> list[dict[str, Any]]:
    """Name, parameters, base Pass@1 and weights hash of each shipped model, from its provenance."""
    return [json.loads((MODELS / name / "provenance.json").read_text(encoding="utf-8")) for name in SHIPPED]


def _from_hub(name: str, revision: str | None) -> Path:
    parts = name.split("/")
    if len(parts) != 2 or not all(parts) or parts[0] in (".", "..", "~"):
        raise InputError(
            f"model: must be a shipped model ({', '.join(SHIPPED)}), a folder with config.json and "
            f"{WEIGHTS}, or ORG/NAME on the Hugging Face hub, got {name!r}"
        )
    from llm_runs.hub import download

    return download(name, revision, weights=False)


def _configuration(path: Path) -> dict[str, Any]:
    """Read config.json of a causal language model."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a JSON object")
    if not isinstance(config.get("model_type"), str):
        raise InputError(f"{path}: model_type is required")
    classes = config.get("architectures") or []
    if config.get("is_encoder_decoder") or (classes and not any(str(c).endswith(CAUSAL) for c in classes)):
        raise InputError(f"{path}: must be a causal language model, got {', '.join(map(str, classes))}")
    return config


def weights_hash(name: str) -> str:
    """sha256 of a model's weights, hex (`BaseModel.weights_sha256`).

    Raises:
        InputError: unknown model.
    """
    return find_model(name).weights_sha256
