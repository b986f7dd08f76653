"""What a shipped model can do before any fine-tuning: base Pass@1 by sampling, strict, lenient and graded.

Fine-tuning plays no part here, and nothing that is measured here decides anything in a run: queries are
chosen by measurements of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from banditrft.streams import Purpose
from llm_runs.base_models import BaseModel, find_model
from llm_runs.engines.base import Address, Limits, Prompts
from llm_runs.engines.stacked import StackedEngine
from llm_runs.network.architecture import Architecture
from llm_runs.network.stacked import stack
from llm_runs.tasks import Item, Task
from llm_runs.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from llm_runs.learners.base import Learner

ITEMS, SAMPLES = 240, 64
"""Items of a set, shared equally among a model's tasks, and responses to each."""

VERDICTS = ("strict", "lenient", "score")


def rates(
    model: BaseModel, task: Task, items: Sequence[Item], samples: int, address: Address
) -> NDArray[np.float64]:
    """Means over samples of each item's verdicts.

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
    arch = Architecture.of(model.config, model.name)
    tokenizer = load_tokenizer(model.folder, chat=False)
    limits = Limits(task.prompt_max, task.max_new, 1.0, tokenizer.ends, tokenizer.pad)
    engine = StackedEngine(arch, limits)
    engine.push(cast("Learner", SimpleNamespace(weights=stack([model.weights()]))))
    with task.grader() as grader:
        found = np.empty((len(items), len(VERDICTS)))
        for i, item in enumerate(items):
            prompt = Prompts([[tokenizer.encode(item)]], [[item.index]])
            drawn = engine.sample(prompt, range(samples), address)
            rows = zip(drawn.tokens_SQGT[0, 0].tolist(), drawn.lengths_SQG[0, 0].tolist(), strict=True)
            texts = [tokenizer.decode(tokens[:length]) for tokens, length in rows]
            grades = grader.grade_many(texts, [item.answer] * samples)
            found[i] = np.mean([[getattr(grade, v) for v in VERDICTS] for grade in grades], axis=0)
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
                **{v: round(float(mean), 4) for v, mean in zip(VERDICTS, rates_NV.mean(0), strict=True)},
                "strict_deciles": [round(float(q), 4) for q in deciles],
            }
    return measured
