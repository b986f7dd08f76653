"""The shipped base models are what their provenance says."""

import json

import pytest
import torch
from llm_fixtures import SHIPPED, TASK
from transformers import AutoModelForCausalLM, AutoTokenizer

import llm_runs
from banditrft.streams import Purpose
from llm_runs.base_models import ARCHITECTURES, MODELS, load_base_model
from llm_runs.evaluation import Address, count_correct
from llm_runs.network.stacked import stack
from llm_runs.pretraining.recipe import Recipe


@pytest.mark.parametrize("name", SHIPPED)
def test_provenance_names_the_recipe_and_the_weights(name):
    provenance = json.loads((MODELS / name / "provenance.json").read_text())
    assert provenance["name"] == name
    assert provenance["weights_sha256"] == llm_runs.weights_hash(name)
    assert provenance["recipe_hash"] == Recipe().hash(ARCHITECTURES[name])
    assert provenance["steps"] == Recipe().steps
    assert provenance["command"] == f"banditrft base-model train {name} --out DIR"


@pytest.mark.parametrize("name", SHIPPED)
def test_transformers_loads_it(name):
    model = AutoModelForCausalLM.from_pretrained(MODELS / name, local_files_only=True)
    assert model.config.model_type == ARCHITECTURES[name]
    assert model.dtype == torch.float32
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(284_000, rel=0.02)
    tokenizer = AutoTokenizer.from_pretrained(MODELS / name, local_files_only=True)
    assert tokenizer("12+7-3=?")["input_ids"] == TASK.vocabulary.encode("12+7-3=?")
    assert tokenizer.eos_token_id == TASK.vocabulary.eos
    assert tokenizer.decode([*TASK.vocabulary.encode("#16"), 1], skip_special_tokens=True) == "#16"


@pytest.mark.parametrize("name", SHIPPED)
def test_base_pass_at_1_is_the_recorded_one(name):
    """Measured again with other random numbers: within four standard errors."""
    recorded = next(m for m in llm_runs.shipped_models() if m["name"] == name)
    model = load_base_model(name)
    items = [TASK.items("test", recorded["measured"]["items"])]
    address = Address(1, [0], Purpose.EVAL_TEST)
    strict, lenient = count_correct(model.arch, stack([model.weights()]), TASK, items, 8, address, 1.0)
    error = 4 * (0.25 / (8 * len(items[0]))) ** 0.5
    assert abs(strict.mean() / 8 - recorded["measured"]["test"]["strict"]) < error
    assert abs(lenient.mean() / 8 - recorded["measured"]["test"]["lenient"]) < error
    deciles = recorded["measured"]["pool"]["strict_deciles"]
    assert deciles[0] < 0.02  # a wide spread over items
    assert deciles[-1] > 0.7


def test_transformers_own_generation_has_the_same_pass_at_1():
    """The whole sampler against `generate`, on one query: same rate up to noise."""
    from llm_runs.graders.arithmetic import grade

    item = TASK.items("pool", 8)[7]
    model = AutoModelForCausalLM.from_pretrained(MODELS / "tiny-qwen2", local_files_only=True)
    ids = torch.tensor([TASK.vocabulary.encode(item.prompt)] * 1500)
    torch.manual_seed(0)
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=0,
        max_new_tokens=TASK.max_new,
    )
    texts = [TASK.vocabulary.decode(row) for row in out[:, ids.shape[1] :].tolist()]
    theirs = sum(grade(text, item.answer).strict for text in texts) / 1500
    base = load_base_model("tiny-qwen2")
    address = Address(3, [0], Purpose.EVAL_TRAIN)
    strict, _ = count_correct(base.arch, stack([base.weights()]), TASK, [[item]], 1500, address, 1.0)
    ours = strict[0, 0] / 1500
    assert 0.1 < theirs < 0.9
    assert abs(ours - theirs) < 4 * (2 * theirs * (1 - theirs) / 1500) ** 0.5
