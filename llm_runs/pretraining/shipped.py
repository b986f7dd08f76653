"""The shipped base models and how each is made again: architecture, tasks, characters and recipe by name.

Two families, three architectures each: `tiny-<architecture>` knows integer arithmetic,
`tiny-<architecture>-words` the three tasks `tiny-gsm`, `tiny-math` and `tiny-sort`. Where models stand and
how they are read is `llm_runs.base_models`.
"""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from banditrft.errors import InputError
from banditrft.files import sha256_of
from banditrft.parts import part_of, sweep_parts
from llm_runs.base_models.weight_files import WEIGHTS
from llm_runs.pretraining.corpus import Mixture
from llm_runs.pretraining.recipe import Recipe, Shape, fit, versions
from llm_runs.tasks.arithmetic import CHARACTERS, Arithmetic
from llm_runs.tasks.boxed import BoxedAnswers
from llm_runs.tasks.grid import Grid
from llm_runs.tasks.sorting import Letters
from llm_runs.tasks.words import Words
from llm_runs.tokenizers import Characters

WORDS = string.digits + string.ascii_lowercase + string.ascii_uppercase + r" .,?:+-*/=#\{}()"
"""The characters of the models with three tasks: with `<pad>` and `<eos>` 80 tokens."""


@dataclass(frozen=True)
class Origin:
    """What a shipped model is made of.

    Attributes:
        architecture: transformers' `model_type`.
        tasks: What it was trained on.
        characters: Its tokens.
        recipe: How.
    """

    architecture: str
    tasks: tuple[Grid, ...]
    characters: Characters
    recipe: Recipe

    @property
    def hash(self) -> str:
        """Content hash of all of it, and of the first and last batch."""
        return self.recipe.hash(self.architecture, self.tasks)


def _origins() -> dict[str, Origin]:
    words = Recipe(seed=20261, steps=1600, mixture=Mixture(work=0.6), shape=Shape(positions=128))
    found = {}
    for kind in ("qwen2", "llama", "olmo2"):
        found[f"tiny-{kind}"] = Origin(kind, (Arithmetic(),), Characters.of(CHARACTERS), Recipe())
        tasks = (Words(), BoxedAnswers(), Letters())
        found[f"tiny-{kind}-words"] = Origin(kind, tasks, Characters.of(WORDS), words)
    return found


ORIGINS = _origins()
"""By shipped name."""


def write_tokenizer(characters: Characters, folder: Path) -> None:
    """Write characters as a tokenizer that transformers' PreTrainedTokenizerFast reads.

    AutoTokenizer does too, but for Qwen2: it takes the tokenizer of every Qwen2 folder for Qwen's own, which
    knows no blanks of ours.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pad, eos = characters.tokens[:2]
    index = {token: i for i, token in enumerate(characters.tokens)}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token=pad))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token=pad, eos_token=eos, padding_side="left"
    )
    wrapped.save_pretrained(folder)


def train_base_model(
    name: str,
    out: Path | str,
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
        `out`, with config.json, model.safetensors, tokenizer and provenance.json. The weights come last: an
        interrupted call leaves no model, and the same call starts anew.

    Raises:
        InputError: unknown name, a seed or number of steps out of range, or `out` is no folder or holds a
            model already; found before anything is trained.
    """
    if name not in ORIGINS:
        raise InputError(f"base model {name!r}: unknown; available: {', '.join(ORIGINS)}")
    out = Path(out)
    if (out / WEIGHTS).exists():
        raise InputError(f"--out {out}: holds a model already")
    standing = next(path for path in (out, *out.parents) if path.exists())
    if not standing.is_dir():
        raise InputError(f"--out {out}: {standing} is not a folder")
    origin = ORIGINS[name]
    given = {key: value for key, value in (("seed", seed), ("steps", steps)) if value is not None}
    recipe = replace(
        origin.recipe,
        seed=given.get("seed", origin.recipe.seed),
        steps=given.get("steps", origin.recipe.steps),
    )
    origin = replace(origin, recipe=recipe)
    if not 0 <= origin.recipe.seed < 2**63:
        raise InputError(f"--seed: must lie in [0, 2**63), got {seed}")
    if origin.recipe.steps < 1:
        raise InputError(f"--steps: must be at least 1, got {steps}")
    model = fit(origin.architecture, origin.recipe, origin.tasks, origin.characters, progress)
    out.mkdir(parents=True, exist_ok=True)
    sweep_parts(out)
    part = part_of(out / "model")
    try:
        model.save_pretrained(part)
        (part / WEIGHTS).chmod(0o644)
        write_tokenizer(origin.characters, part)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        changed = "".join(f" --{key} {value}" for key, value in given.items())
        command = f"banditrft base-model train {name} --out DIR{changed}"
        _write_provenance(name, origin, part, parameters, command)
        for file in sorted(part.iterdir(), key=lambda file: file.name == WEIGHTS):
            file.rename(out / file.name)  # the weights last: with them it is a model
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _write_provenance(name: str, origin: Origin, folder: Path, parameters: int, command: str) -> None:
    from llm_runs.pretraining.measured import measure

    measured = measure(folder, origin.tasks, origin.recipe.seed)
    provenance = {
        "name": name,
        "tasks": [task.name for task in origin.tasks],
        "parameters": parameters,
        "base_pass_at_1": {task: found["pool"]["strict"] for task, found in measured["tasks"].items()},
        "measured": measured,
        "weights_sha256": sha256_of(folder / WEIGHTS),
        "command": command,
        "seed": origin.recipe.seed,
        "steps": origin.recipe.steps,
        "recipe": asdict(origin.recipe),
        "recipe_hash": origin.hash,
        "versions": versions(),
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
