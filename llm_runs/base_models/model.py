"""A base model, known by its configuration; weights are read when asked for, from safetensors files only.

Shipped models stand in `llm_runs/models/<name>/` with `provenance.json` beside the weights
(`llm_runs.pretraining` says how they were made). No torch here until tensors are asked for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from banditrft.errors import InputError
from llm_runs.base_models.weight_files import WEIGHTS, complete, files_of, hash_of, shapes_of
from llm_runs.network.architecture import Architecture, pack, packed_shapes, unpack

if TYPE_CHECKING:
    from torch import Tensor

MODELS = Path(__file__).parents[1] / "models"
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
