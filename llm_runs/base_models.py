"""The base models: three tiny transformers shipped with the package, or a folder in transformers' format.

Shipped models stand in `llm_runs/models/<name>/` and load with transformers' own `from_pretrained`. How
they were made is `llm_runs.pretraining.recipe`; `provenance.json` beside the weights says by
which recipe, seed and versions. Nothing is fetched from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from banditrft.errors import InputError
from llm_runs.network.architecture import Architecture, pack, packed_shapes, unpack
from llm_runs.tasks import Task, load_task

if TYPE_CHECKING:
    from torch import Tensor

MODELS = Path(__file__).parent / "models"
ARCHITECTURES = {"tiny-qwen2": "qwen2", "tiny-llama": "llama", "tiny-olmo2": "olmo2"}
TASK = "arithmetic"
MEASURED_ITEMS, MEASURED_SAMPLES = 240, 64


@dataclass(frozen=True)
class BaseModel:
    """A base model read from its folder.

    Attributes:
        name: Shipped name, or the folder as given.
        folder: Where it stands.
        arch: Its architecture.
    """

    name: str
    folder: Path
    arch: Architecture

    @cached_property
    def weights_sha256(self) -> str:
        """sha256 of `model.safetensors`, hex."""
        from llm_runs.pretraining.recipe import sha256

        return sha256(self.folder / "model.safetensors")

    def weights(self) -> dict[str, Tensor]:
        """The weights in the stacked program's layout, without a replica axis, float32.

        Raises:
            InputError: the file is damaged or does not fit config.json.
        """
        return read_weights(self.arch, self.folder / "model.safetensors")


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


def model_folder(name: str) -> Path:
    """Folder of a model, by shipped name or path.

    Raises:
        InputError: neither a shipped name nor a folder with config.json and model.safetensors.
    """
    if name in ARCHITECTURES:
        return MODELS / name
    folder = Path(name)
    missing = [file for file in ("config.json", "model.safetensors") if not (folder / file).is_file()]
    if missing:
        shipped = ", ".join(ARCHITECTURES)
        raise InputError(
            f"model: must be a shipped model ({shipped}) or a folder with config.json and model.safetensors, "
            f"got {name!r}"
        )
    return folder


def load_base_model(name: str, task: Task | None = None) -> BaseModel:
    """Read a model's configuration; its weights are read when asked for.

    Args:
        name: A shipped name or a folder.
        task: Its vocabulary must be the model's (the arithmetic task by default).

    Raises:
        InputError: unknown model, an architecture that is not computed, or another vocabulary.
    """
    folder = model_folder(name)
    where = folder / "config.json"
    try:
        config = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: cannot be read as JSON ({error})") from None
    if not isinstance(config, dict):
        raise InputError(f"{where}: must hold a JSON object")
    arch = Architecture.of(config, str(where))
    task = task or load_task(TASK)
    if arch.vocabulary != len(task.vocabulary):
        raise InputError(
            f"{where}: vocab_size must be {len(task.vocabulary)} for task {task.name}, got {arch.vocabulary}"
        )
    if arch.positions < task.prompt_max + task.max_new:
        needed = task.prompt_max + task.max_new
        raise InputError(f"{where}: max_position_embeddings must be at least {needed}, got {arch.positions}")
    return BaseModel(name, folder, arch)


def weights_hash(name: str) -> str:
    """sha256 of a model's weights file, hex.

    Raises:
        InputError: unknown model.
    """
    return load_base_model(name).weights_sha256


def shipped_models() -> list[dict[str, Any]]:
    """Name, parameters, base Pass@1 and weights hash of each shipped model, from its provenance."""
    return [
        json.loads((MODELS / name / "provenance.json").read_text(encoding="utf-8")) for name in ARCHITECTURES
    ]


def write_tokenizer(task: Task, folder: Path) -> None:
    """Write the task's vocabulary as a character-level tokenizer that transformers' AutoTokenizer reads."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    index = {token: i for i, token in enumerate(task.vocabulary.tokens)}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token=task.vocabulary.tokens[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=task.vocabulary.tokens[0],
        eos_token=task.vocabulary.tokens[1],
        padding_side="left",
    )
    wrapped.save_pretrained(folder)


def measure(model: BaseModel, task: Task, seed: int) -> dict[str, Any]:
    """Base Pass@1 on the first items of the pool and of the test set: means, and deciles over items."""
    import numpy as np

    from banditrft.streams import Purpose
    from llm_runs.evaluation import Address, count_correct
    from llm_runs.network.stacked import stack

    weights = stack([model.weights()])
    found: dict[str, Any] = {"items": MEASURED_ITEMS, "samples": MEASURED_SAMPLES}
    for split in ("pool", "test"):
        items = [task.items(split, MEASURED_ITEMS)]
        address = Address(seed, [0], Purpose.PRETRAIN, round=2**31 - 1)
        strict, lenient = count_correct(model.arch, weights, task, items, MEASURED_SAMPLES, address, 1.0)
        rates = strict[0] / MEASURED_SAMPLES
        found[split] = {
            "strict": round(float(rates.mean()), 4),
            "lenient": round(float(lenient[0].mean() / MEASURED_SAMPLES), 4),
            "strict_deciles": [round(float(q), 4) for q in np.quantile(rates, np.linspace(0, 1, 11))],
        }
    return found


def train_base_model(
    name: str,
    out: Path,
    *,
    seed: int | None = None,
    steps: int | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """Pretrain a base model by its recipe and write it with tokenizer and provenance.

    Args:
        name: One of the shipped models.
        out: Folder to write; must not hold a model yet.
        seed: Seed, the recipe's by default.
        steps: Training steps, the recipe's by default.
        progress: Called as progress(step, steps, loss in nats).

    Returns:
        `out`, with config.json, model.safetensors, tokenizer and provenance.json.

    Raises:
        InputError: unknown name, a seed or number of steps out of range, or `out` is no folder or holds a
            model already; found before anything is trained.
    """
    from llm_runs.pretraining.recipe import Recipe, fit, sha256, versions
    from llm_runs.tasks.arithmetic import Arithmetic

    if name not in ARCHITECTURES:
        raise InputError(f"base model {name!r}: unknown; available: {', '.join(ARCHITECTURES)}")
    if (out / "model.safetensors").exists():
        raise InputError(f"--out {out}: holds a model already")
    standing = next(path for path in (out, *out.parents) if path.exists())
    if not standing.is_dir():
        raise InputError(f"--out {out}: {standing} is not a folder")
    recipe = Recipe()
    recipe = replace(
        recipe,
        seed=recipe.seed if seed is None else seed,
        steps=recipe.steps if steps is None else steps,
    )
    if not 0 <= recipe.seed < 2**63:
        raise InputError(f"--seed: must lie in [0, 2**63), got {seed}")
    if recipe.steps < 1:
        raise InputError(f"--steps: must be at least 1, got {steps}")
    task = Arithmetic()
    model = fit(ARCHITECTURES[name], recipe, task, progress)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    write_tokenizer(task, out)
    measured = measure(load_base_model(str(out), task), task, recipe.seed)
    changed = [
        f" --seed {seed}" if seed is not None else "",
        f" --steps {steps}" if steps is not None else "",
    ]
    provenance = {
        "name": name,
        "task": task.name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "base_pass_at_1": measured["pool"]["strict"],
        "measured": measured,
        "weights_sha256": sha256(out / "model.safetensors"),
        "command": f"banditrft base-model train {name} --out DIR{''.join(changed)}",
        "seed": recipe.seed,
        "steps": recipe.steps,
        "recipe": asdict(recipe),
        "recipe_hash": recipe.hash(ARCHITECTURES[name]),
        "versions": versions(),
    }
    (out / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    return out
