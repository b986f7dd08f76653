"""How the base models were made: pretraining of a tiny causal LM from nothing on synthetic problems.

The recipe, stated openly: most of the training is clean; only the last 14% of the steps mix in malformed
and wrong answers. That late "format flaw" puts the arithmetic models' base Pass@1 near 1/3 with a wide spread
over items, and single-query fine-tuning largely repairs it. That phase is not neutral: it was taken over from
a prototype in which fine-tuning on one query improved no test set without it. The recipe's numbers, and the
sizes of the numbers in the tasks, were tuned by base Pass@1 alone. Weights are a function of the recipe on
one machine; another BLAS may change their last bits, which is why the weights themselves are shipped with
their hash.

Two families, three architectures each: `tiny-<architecture>` knows integer arithmetic,
`tiny-<architecture>-words` the three tasks `tiny-gsm`, `tiny-math` and `tiny-sort`. Where models stand and
how they are read is `llm_runs.base_models`. After training, a model's base Pass@1 is measured by sampling and
written to its provenance; fine-tuning plays no part there, and no run depends on these numbers.

Torch is loaded when something is trained or measured.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import string
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from banditrft.files import sha256_of
from banditrft.parts import part_of, sweep_parts
from banditrft.streams import Purpose
from llm_runs.base_models import WEIGHTS, BaseModel, find_model
from llm_runs.interfaces import Address, Limits, Prompts
from llm_runs.tasks import Item, Task
from llm_runs.tasks.arithmetic import CHARACTERS, Arithmetic
from llm_runs.tasks.boxed import BoxedAnswers
from llm_runs.tasks.grid import GridTask
from llm_runs.tasks.sorting import Letters
from llm_runs.tasks.words import Words
from llm_runs.tiny.architecture import weights_of
from llm_runs.tiny.corpus import Example, Mixture, batch
from llm_runs.tokenizers import Characters, load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from llm_runs.interfaces import Learner

Progress = Callable[[int, int, float], None]
"""Called as progress(step, steps, loss_nats)."""

IGNORED = -100
"""Label of tokens that carry no loss: prompts and pads."""
WORDS = string.digits + string.ascii_lowercase + string.ascii_uppercase + r" .,?:+-*/=#\{}()"
"""The characters of the models with three tasks: with `<pad>` and `<eos>` 80 tokens."""
ITEMS, SAMPLES = 240, 64
"""Items of a set, shared equally among a model's tasks, and responses to each."""
GRADES = ("strict", "lenient", "score")


@dataclass(frozen=True)
class Shape:
    """Size of a tiny model, shared by the three architectures."""

    width: int = 96
    layers: int = 3
    heads: int = 3
    feed_forward: int = 192
    positions: int = 64


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights of a base model."""

    seed: int = 20260
    steps: int = 2300
    batch_size: int = 64
    learning_rate: float = 4e-3
    final_share: float = 0.1
    warmup_steps: int = 50
    beta2: float = 0.98
    initial_std: float = 0.08
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    spoiled_share: float = 0.14
    mixture: Mixture = field(default_factory=Mixture)
    shape: Shape = field(default_factory=Shape)

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then a straight line down to `final_share` of the peak."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warm * (1 - (1 - self.final_share) * step / max(1, self.steps - 1))

    def spoiled_at(self, step: int) -> bool:
        """Whether malformed and wrong targets are mixed in at that step."""
        return step >= round(self.steps * (1 - self.spoiled_share))

    def hash(self, architecture: str, tasks: Sequence[GridTask]) -> str:
        """Content hash of the recipe for one architecture, including the text of its first and last batch."""
        text = json.dumps({"architecture": architecture, **asdict(self)}, sort_keys=True)
        for step in (0, self.steps - 1):
            spoiled = self.spoiled_at(step)
            text += repr(batch(tasks, self.seed, step, self.batch_size, self.mixture, spoiled=spoiled))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def config_dict(architecture: str, recipe: Recipe, vocabulary_size: int) -> dict[str, Any]:
    """Arguments of the transformers configuration of an architecture ("qwen2", "llama" or "olmo2")."""
    shape = recipe.shape
    return {
        "model_type": architecture,
        "vocab_size": vocabulary_size,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.width // shape.heads,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.positions,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 1,
        "initializer_range": recipe.initial_std,
        "dtype": "float32",
    }


def new_model(architecture: str, recipe: Recipe, vocabulary_size: int) -> PreTrainedModel:
    """An untrained model of an architecture, initialised by transformers from the recipe's seed."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    arguments = config_dict(architecture, recipe, vocabulary_size)
    config = AutoConfig.for_model(arguments.pop("model_type"), **arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return model


def tensors(characters: Characters, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels (N, T), padded on the right; prompts and pads carry no loss."""
    import torch

    rows, labels = [], []
    for example in examples:
        prompt = characters.encode_text(example.prompt)
        target = characters.encode_text(example.target) + ([characters.eos] if example.ends else [])
        rows.append(prompt + target)
        labels.append([IGNORED] * len(prompt) + target)
    width = max(map(len, rows))
    ids = [row + [characters.pad] * (width - len(row)) for row in rows]
    marks = [row + [IGNORED] * (width - len(row)) for row in labels]
    return torch.tensor(ids), torch.tensor(marks)


def fit(
    architecture: str,
    recipe: Recipe,
    tasks: Sequence[GridTask],
    characters: Characters,
    progress: Progress | None = None,
) -> PreTrainedModel:
    """Train a model of some tasks by the recipe, on one core.

    The loss of a step is the mean over its target tokens. Tasks are computed one after the other, so that
    short examples are not padded to the longest.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = new_model(architecture, recipe, characters.size)
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, recipe.beta2),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        for step in range(recipe.steps):
            spoiled = recipe.spoiled_at(step)
            examples = batch(tasks, recipe.seed, step, recipe.batch_size, recipe.mixture, spoiled=spoiled)
            by_task = [[e for e in examples if e.task == task.name] for task in tasks]
            groups = [tensors(characters, group) for group in by_task if group]
            targets = [int((labels != IGNORED).sum()) for _, labels in groups]
            loss = 0.0
            for (ids, labels), count in zip(groups, targets, strict=True):
                logits = model(input_ids=ids).logits[:, :-1]
                mean = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
                )
                part = mean * (count / sum(targets))
                part.backward()  # type: ignore[no-untyped-call]
                loss += part.item()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if progress is not None:
                progress(step + 1, recipe.steps, loss)
    finally:
        torch.set_num_threads(threads)
    model.train(mode=False)
    return model


def versions() -> dict[str, str]:
    """Versions of what computed the weights."""
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        **{n: version(n) for n in ("numpy", "torch", "transformers")},
    }


def rates(
    model: BaseModel, task: Task, items: Sequence[Item], samples: int, address: Address
) -> NDArray[np.float64]:
    """Means over samples of each item's grades.

    Args:
        model: A tiny model.
        task: What it is asked.
        items: Items of the task, N.
        samples: Responses per item, at temperature 1.
        address: Random numbers, of one replica.

    Returns:
        (N, 3): strict, lenient and score, each in [0, 1].

    Raises:
        InputError: the stacked program does not compute this model.
    """
    from llm_runs.tiny.engine import StackedEngine
    from llm_runs.tiny.network import stack

    tokenizer = load_tokenizer(model.folder, chat=False)
    limits = Limits(task.prompt_max, task.max_new, 1.0, tokenizer.ends, tokenizer.pad)
    engine = StackedEngine.of(model, limits)
    engine.push(cast("Learner", SimpleNamespace(weights=stack([weights_of(model)]))))
    with task.grader() as grader:
        found = np.empty((len(items), len(GRADES)))
        for i, item in enumerate(items):
            prompt = Prompts([[tokenizer.encode(item)]], [[item.index]])
            drawn = engine.sample(prompt, range(samples), address)
            rows = zip(drawn.tokens_SQGT[0, 0].tolist(), drawn.lengths_SQG[0, 0].tolist(), strict=True)
            texts = [tokenizer.decode(tokens[:length]) for tokens, length in rows]
            grades = grader.grade_many(texts, [item.answer] * samples)
            found[i] = np.mean([[getattr(grade, v) for v in GRADES] for grade in grades], axis=0)
    return found


def measure(folder: Path, tasks: Sequence[Task], seed: int) -> dict[str, Any]:
    """Base Pass@1 on the first items of each task's pool and test set: means, and deciles over items."""
    model = find_model(str(folder))
    address = Address(seed, [0], Purpose.PRETRAIN, round=2**31 - 1)
    count = ITEMS // len(tasks)
    measured: dict[str, Any] = {"items": count, "samples": SAMPLES, "tasks": {}}
    for task in tasks:
        measured["tasks"][task.name] = found = {}
        for split in ("pool", "test"):
            rates_NV = rates(model, task, task.items(split, count), SAMPLES, address)
            deciles = np.quantile(rates_NV[:, 0], np.linspace(0, 1, 11))
            found[split] = {
                **{v: round(float(mean), 4) for v, mean in zip(GRADES, rates_NV.mean(0), strict=True)},
                "strict_deciles": [round(float(q), 4) for q in deciles],
            }
    return measured


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
    tasks: tuple[GridTask, ...]
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
