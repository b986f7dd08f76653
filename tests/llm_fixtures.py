"""Small models, stacks and runs of the language-model world for tests."""

import torch
from transformers import PreTrainedModel

from banditrft.design import Design, Evaluation
from banditrft.runs import Query, Run
from banditrft.worlds import LLMWorld
from llm_runs.base_models import ARCHITECTURES, load_base_model
from llm_runs.network.architecture import Architecture, pack
from llm_runs.pretraining.recipe import Recipe, new_model
from llm_runs.tasks import load_task

TASK = load_task("arithmetic")
SHIPPED = tuple(ARCHITECTURES)
EVALUATION = Evaluation(eval_every=2, eval_samples=8, final_eval_samples=12, final_test_samples=2)


def perturbed(name: str, count: int) -> tuple[Architecture, list[PreTrainedModel]]:
    """`count` models of a shipped architecture, freshly initialised, with noise on every weight (gains too)."""
    models = []
    for index in range(count):
        model = new_model(ARCHITECTURES[name], Recipe(seed=index), len(TASK.vocabulary))
        noise = torch.Generator().manual_seed(index)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=noise)
        models.append(model)
    return load_base_model(name).arch, models


def packed(arch: Architecture, models: list[PreTrainedModel]) -> list[dict[str, torch.Tensor]]:
    return [pack(arch, model.state_dict()) for model in models]


def some_prompts(S: int, Q: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of all lengths, (S, Q, P) and pads (S, Q), from the pretraining set."""
    items = TASK.items("pretrain", S * Q)
    rows, pads = TASK.vocabulary.left_padded([item.prompt for item in items], TASK.prompt_max)
    return torch.tensor(rows).reshape(S, Q, -1), torch.tensor(pads).reshape(S, Q)


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
    **design: object,
) -> Run:
    """A run of three rounds, unless the design says otherwise."""
    settings = {"rollouts": 2, "learning_rate": 1e-3, "rounds": 3, **design}
    return Run(
        f"run-{seed}-{position}",
        world(model),
        "condition",
        Design.model_validate(settings),
        evaluation,
        root_seed,
        range(seed, seed + 1),
        query(position),
    )
