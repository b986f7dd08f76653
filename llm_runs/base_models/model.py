"""Base models by name: the tiny ones shipped with the package, a folder of transformers, or a hub name.

`find_model` reads the configuration and nothing else; weights are read when asked for, from safetensors files
only. Shipped models stand in `llm_runs/tiny/models/<name>/` with their `provenance.json`
(`llm_runs.tiny.pretraining` says how they were made). No torch is loaded here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from banditrft.errors import InputError
from llm_runs.base_models.files import WEIGHTS, complete, files_of, hash_of, shapes_of

MODELS = Path(__file__).parents[1] / "tiny" / "models"
SHIPPED = tuple(sorted(path.parent.name for path in MODELS.glob("*/provenance.json")))
DEFINING = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "*.jinja",
    "vocab.*",
    "merges.txt",
)
"""Files other than the weights that decide what a model samples."""
CAUSAL = ("ForCausalLM", "LMHeadModel")
SIZES = (
    "hidden_size",
    "n_embd",
    "num_attention_heads",
    "n_head",
    "num_hidden_layers",
    "n_layer",
    "intermediate_size",
    "vocab_size",
)
OPTIONAL_SIZES = ("num_key_value_heads", "head_dim", "n_inner", "max_position_embeddings", "n_positions")
"""Sizes in a config.json that is read here, and those that may be null."""


@dataclass(frozen=True)
class BaseModel:
    """A causal language model, known by its configuration.

    Attributes:
        name: Shipped name, folder or hub name, as given.
        folder: Where its files stand; of a hub model the weights arrive with the first `weight_files`.
        config: Contents of `config.json`.
        revision: Commit of a hub model, else None.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
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
            from llm_runs.base_models.hub import download

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
            from llm_runs.base_models.hub import remote_parameters

            return remote_parameters(self.name, self.revision)
        shapes = {name: shape for path in self.weight_files for name, shape in shapes_of(path).items()}
        if self.tied and len(shapes) > 1:
            shapes.pop("lm_head.weight", None)
        return sum(math.prod(shape) for shape in shapes.values())


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
    return BaseModel(name, folder, config, commit)


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


def shipped_models() -> list[dict[str, Any]]:
    """Name, parameters, base Pass@1 and weights hash of each shipped model, from its provenance."""
    return [json.loads((MODELS / name / "provenance.json").read_text(encoding="utf-8")) for name in SHIPPED]


def weights_hash(name: str) -> str:
    """sha256 of a model's weights, hex (`BaseModel.weights_sha256`).

    Raises:
        InputError: unknown model.
    """
    return find_model(name).weights_sha256


def _from_hub(name: str, revision: str | None) -> Path:
    parts = name.split("/")
    if len(parts) != 2 or not all(parts) or parts[0] in (".", "..", "~"):
        raise InputError(
            f"model: must be a shipped model ({', '.join(SHIPPED)}), a folder with config.json and "
            f"{WEIGHTS}, or ORG/NAME on the Hugging Face hub, got {name!r}"
        )
    from llm_runs.base_models.hub import download

    return download(name, revision, weights=False)


def _configuration(path: Path) -> dict[str, Any]:
    """Read config.json of a causal language model."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a JSON object")
    if not isinstance(config.get("model_type"), str):
        raise InputError(f"{path}: model_type is required")
    classes = config.get("architectures") or []
    if config.get("is_encoder_decoder") or (classes and not any(str(c).endswith(CAUSAL) for c in classes)):
        raise InputError(f"{path}: must be a causal language model, got {', '.join(map(str, classes))}")
    text = config.get("text_config", {})
    if not isinstance(text, dict):
        raise InputError(f"{path}: text_config must be a JSON object, got {text!r}")
    for part, before in ((config, ""), (text, "text_config.")):
        for name in (*SIZES, *OPTIONAL_SIZES):
            value = part.get(name)
            if (name not in part) or (value is None and name in OPTIONAL_SIZES):
                continue
            if type(value) is not int or value < 1:
                raise InputError(
                    f"{path}: {before}{name} must be a whole number of at least 1, got {value!r}"
                )
    return config
