"""Small models, stacks and runs of the language-model world for tests."""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl
import torch
from transformers import PreTrainedModel

from banditrft.design import Design, Evaluation
from banditrft.records import RunTables
from banditrft.runs import Query, Run
from banditrft.worlds import LLMWorld
from llm_runs.base_models import find_model
from llm_runs.interfaces import Prompts
from llm_runs.tasks import load_task
from llm_runs.tiny.architecture import Architecture, architecture_of, pack
from llm_runs.tiny.pretraining import Recipe, new_model
from llm_runs.tokenizers import load_tokenizer

TASK = load_task("arithmetic")
SHIPPED = ("tiny-qwen2", "tiny-llama", "tiny-olmo2")
TOKENIZER = load_tokenizer(find_model("tiny-qwen2").folder)
EVALUATION = Evaluation(eval_every=2, eval_samples=8, final_eval_samples=12, final_test_samples=2)


def perturbed(name: str, count: int) -> tuple[Architecture, list[PreTrainedModel]]:
    """`count` models of a shipped architecture, freshly initialised, with noise on every weight (gains too)."""
    models = []
    for index in range(count):
        model = new_model(name.removeprefix("tiny-"), Recipe(seed=index), TOKENIZER.size)
        noise = torch.Generator().manual_seed(index)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=noise)
        models.append(model)
    arch = architecture_of(find_model(name))
    assert arch is not None
    return arch, models


def packed(arch: Architecture, models: list[PreTrainedModel]) -> list[dict[str, torch.Tensor]]:
    return [pack(arch, model.state_dict()) for model in models]


def some_prompts(S: int, Q: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of all lengths, (S, Q, P) and pads (S, Q), from the pretraining set."""
    ids = [TOKENIZER.encode(item) for item in TASK.items("pretrain", S * Q)]
    rows = [ids[s * Q : (s + 1) * Q] for s in range(S)]
    return Prompts(rows, [list(range(Q))] * S).padded(TASK.prompt_max, TOKENIZER.pad)


def world(name: str = "tiny-qwen2", **settings: object) -> LLMWorld:
    return LLMWorld.model_validate({"model": name, "seeds": 2, "test_items": 6, **settings})


def query(position: int, base: float = 0.25) -> Query:
    item = TASK.items("pool", position + 1)[position]
    return Query(item.index, item.prompt, item.answer, base, 64)


def run(
    seed: int,
    position: int,
    *,
    model: str = "tiny-qwen2",
    evaluation: Evaluation = EVALUATION,
    root_seed: int = 7,
    settings: Mapping[str, object] = MappingProxyType({}),
    **design: object,
) -> Run:
    """A run of three rounds on one query (or the pool that the world's settings ask for)."""
    place = world(model, **settings)
    design = {"rollouts": 2, "learning_rate": 1e-3, "rounds": 3, **design}
    return Run(
        f"run-{seed}-{position}",
        place,
        "condition",
        Design.model_validate(design),
        evaluation,
        root_seed,
        range(seed, seed + 1),
        query(position) if place.train_items is None else None,
    )


def same(a: RunTables, b: RunTables) -> bool:
    """Whether two runs left the same records, every column but the times, and the same weights."""
    times = pl.selectors.starts_with("seconds")
    tables = all(
        getattr(a, name).drop(times).equals(getattr(b, name).drop(times))
        for name in ("rounds", "groups", "evals", "final", "items", "texts")
    )
    return tables and a.checkpoint == b.checkpoint
